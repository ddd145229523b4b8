/** What a canister's memory costs over time, and when the canister is frozen. */
import t from "tap";
import { Account } from "../../localnet/account.ts";
import { ingressCost, PRICES } from "../../localnet/prices.ts";

const GIB = 1024 ** 3;
const SECOND = 1_000_000_000n;
const DAY_S = 86_400n;
const PER_SECOND = BigInt(PRICES.gibSecond);
const TOO_POOR = { reject: { code: 2, errorCode: "IC0207" } };

/** An account with a clock and a size of memory that a test can set. */
function accountOf(cycles: bigint, bytes = GIB) {
  const world = { seconds: 1000n, bytes };
  const account = new Account(
    "ID",
    cycles,
    () => world.seconds * SECOND,
    () => world.bytes,
  );
  return { account, world };
}

t.test("memory is charged by size and time", async (t) => {
  const { account, world } = accountOf(10_000_000n);
  t.equal(account.cycles, 10_000_000n);
  world.seconds += 10n;
  t.equal(account.cycles, 10_000_000n - 10n * PER_SECOND);
  t.equal(account.cycles, 10_000_000n - 10n * PER_SECOND, "once");
  t.equal(account.idleCyclesPerDay, PER_SECOND * DAY_S);
  world.bytes = 2 * GIB;
  world.seconds += 1n;
  t.equal(account.cycles, 10_000_000n - 12n * PER_SECOND, "twice as much memory costs twice as much");
  world.bytes = 0;
  world.seconds += 1000n;
  t.equal(account.cycles, 10_000_000n - 12n * PER_SECOND, "no memory costs nothing");
  world.bytes = GIB;
  world.seconds += 1_000_000n;
  t.equal(account.cycles, 0n, "the balance does not fall below zero");
});

t.test("a canister whose cycles would not last for the freezing threshold is frozen", async (t) => {
  const month = PER_SECOND * DAY_S * 30n;
  const { account, world } = accountOf(month + PER_SECOND);
  t.equal(account.freezingLimit, month);
  account.requireCycles(PER_SECOND);
  account.requireForQuery();
  world.seconds += 1n;
  t.equal(account.isFrozen, false, "a canister with exactly enough cycles is not frozen");
  t.throws(() => account.requireCycles(7n), {
    ...TOO_POOR,
    message: /^Canister ID is out of cycles: please top up the canister with at least 7 additional cycles$/,
  });
  account.requireForQuery();
  world.seconds += 1n;
  t.equal(account.isFrozen, true);
  t.throws(() => account.requireForQuery(), {
    ...TOO_POOR,
    message: /because it's frozen. Please top up the canister with cycles and try again/,
  });
  t.throws(() => account.requireCycles(0n), { ...TOO_POOR, message: /127000 additional/ });
  account.add(PER_SECOND);
  t.equal(account.isFrozen, false, "topped up");
  account.freezingThreshold *= 3n;
  t.equal(account.isFrozen, true, "of 90 days");
});

t.test("ingress costs, and a balance that never falls below zero", async (t) => {
  t.equal(ingressCost(1000), 1_200_000n + 2_000_000n);
  const { account } = accountOf(5n);
  account.charge(3n);
  t.equal(account.cycles, 2n);
  account.charge(3n);
  t.equal(account.cycles, 0n);
  account.add(7n);
  account.add(-8n);
  t.equal(account.cycles, 0n, "nor spent");
});
