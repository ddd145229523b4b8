/** For how long a canister's cycles last, and who reports it before the canister is frozen. */
import t from "tap";
import { certifiedLeft, describeLeft, estimateLeft } from "../lib/cycles-left.ts";
import { cycles as check } from "../lib/doctor/cycles.ts";
import { createAgent } from "../lib/ic/agent.ts";
import { managementCanister } from "../lib/ic/management.ts";
import { type CanisterStatus, icfsCanister } from "../lib/icfs-canister.ts";
import { executionCost, PRICES, storageCost } from "../localnet/prices.ts";
import { startCanister } from "./support/canister-network.ts";
import { exactly } from "./support/exactly.ts";
import { hostWith } from "./support/hosts.ts";
import { setFreezingThreshold } from "./support/management.ts";

const DAY_S = 86_400n;
const GIB = 1024 ** 3;

const statusWith = (cycles: bigint, memory: [] | [bigint]) =>
  ({ cycles, memory_bytes: memory }) as CanisterStatus;

t.test("the days left are estimated from the canister's own status", async (t) => {
  const idle = BigInt(PRICES.gibSecond) * DAY_S;
  const burn = idle + 144n * executionCost(0);
  const left = estimateLeft(statusWith(30n * idle + 100n * burn, [BigInt(GIB)]))!;
  t.match(left, { days: 100, isEstimate: true });
  t.match(
    describeLeft(left),
    /^1\.\d+ T: 100 days until it freezes, if nothing is published, estimated for a subnet/,
  );
  t.match(estimateLeft(statusWith(30n * idle + 100n * burn - 1n, [BigInt(GIB)])), { days: 99 });
  t.match(
    estimateLeft(statusWith(30n * idle - 1n, [BigInt(GIB)])),
    { days: 0 },
    "a canister that is frozen, or nearly so, has 0 days left",
  );
  t.equal(
    estimateLeft(statusWith(1n, [])),
    undefined,
    "a canister too old to report its memory gets no estimate",
  );
});

t.test("a controller gets the days left from the network, and is warned in time", async (t) => {
  const c = await startCanister(t);
  const id = c.canister.toText();
  const { network, rootKey, publisherAgent, canister, identity } = c;
  const stranger = createAgent({ network, rootKey, verifyQuerySignatures: true, requestTimeout: 30_000 });
  await t.rejects(
    certifiedLeft(stranger, canister),
    { message: /Only controllers/ },
    "the network refuses to tell a stranger",
  );

  const status = await icfsCanister(stranger, canister).status();
  const told = await managementCanister(publisherAgent, canister).canister_status({ canister_id: canister });
  const memory = Number(status.memory_bytes[0]);
  t.ok(memory > 1e6 && memory < 64e6, `${memory} bytes`);
  // The network counts the code as well.
  t.ok(storageCost(memory, DAY_S * 10n ** 9n) <= told.idle_cycles_burned_per_day);

  const identityFile = `${c.env.XDG_CONFIG_HOME}/icfs/identity.pem`;
  const asked = async (...args: string[]) => c.icfs(["status", id, ...args]);
  const doctor = async (more = {}) =>
    check.run(await hostWith(t, {}, { network, canister: { canister }, ...more }));
  const asController = ["--identity", identityFile];
  t.match(await asked(), {
    stdout: /cycles {7}[\d.]+ T: \d+ days until .*, estimated for a subnet/,
    stderr: "",
  });
  t.match(JSON.parse((await asked("--json")).stdout), { daysLeftEstimated: true });
  t.match(await doctor(), exactly({ level: "ok", message: /: \d+ days until it freezes, .*estimated/ }));

  // As if the canister were a little over 12 days from its threshold.
  const { idle_cycles_burned_per_day: idle, cycles } = told;
  const burn = idle + 144n * executionCost(0);
  await setFreezingThreshold(publisherAgent, canister, ((cycles - 12n * burn - burn / 2n) * DAY_S) / idle);
  t.match(await certifiedLeft(publisherAgent, canister), { days: 12, isEstimate: false });
  const { stdout, stderr } = await asked(...asController);
  t.match(stdout, /cycles {7}[\d.]+ T: 12 days until it freezes, if nothing is published\n/);
  t.equal(
    stderr,
    `icfs: ${id} freezes in 12 days: top it up (on a local network with provisional_top_up_canister)\n`,
  );
  t.match(JSON.parse((await asked("--json", ...asController)).stdout), {
    daysLeft: 12,
    daysLeftEstimated: false,
  });
  t.match(
    await doctor({ identity }),
    exactly({
      level: "warn",
      message: `${id} has `,
      advice: "top it up, as anybody may: on a local network with provisional_top_up_canister",
    }),
  );
  t.equal((await asked()).stderr, "", "a stranger gets no warning");

  await setFreezingThreshold(publisherAgent, canister, 1n << 60n);
  t.match(await doctor(), exactly(), "this check reports nothing about a frozen canister");
  t.match(await asked(), { code: 1, stderr: /is out of cycles: it is frozen/ });
});
