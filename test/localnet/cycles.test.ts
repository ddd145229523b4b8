/** What calls cost a canister. A frozen canister does nothing until somebody tops it up. */
import { fileURLToPath } from "node:url";
import { Actor } from "@icp-sdk/core/agent";
import { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { executionCost, ingressCost, PRICES } from "../../localnet/prices.ts";
import { compiled } from "../support/compiled.ts";
import { TINY } from "./assemble.ts";
import {
  type AnyActor,
  agentFor,
  deploy,
  freezingAfter,
  management,
  NO_ARGUMENT,
  queryBytes,
  rejection,
  startNetwork,
  stranger,
  updateBytes,
} from "./setup.ts";

const network = await startNetwork(t);
const agent = await agentFor(network);
const ic = management(agent);
/** No canister here has cycles for so many seconds. */
const FOR_EVER = 1n << 60n;
const T = 1_000_000_000_000n;

interface Status {
  readonly cycles: bigint;
  readonly memory_size: bigint;
  readonly idle_cycles_burned_per_day: bigint;
  readonly settings: { readonly freezing_threshold: bigint };
}

const statusOf = async (id: Principal) => (await ic.canister_status!({ canister_id: id })) as Status;
const freeze = (id: Principal) => ic.update_settings!({ canister_id: id, settings: freezingAfter(FOR_EVER) });

t.test("an update is charged for its ingress and its execution", async (t) => {
  const id = await deploy(agent, TINY);
  const before = await statusOf(id);
  const started = performance.now();
  await updateBytes(agent, id, "bump", Buffer.alloc(100_000));
  const { cycles } = await statusOf(id);
  const took = performance.now() - started;
  const spent = before.cycles - cycles;
  const least = ingressCost(100_000) + executionCost(0);
  t.ok(spent >= least, `${spent} cycles, at least ${least}`);
  // One instruction a nanosecond, the rest of the envelope, and the memory for that time.
  const most = least + BigInt(Math.ceil(took * 1e6)) + ingressCost(2000);
  t.ok(spent <= most, `${spent} cycles, at most ${most}`);
  const again = (await statusOf(id)).cycles;
  for (let i = 0; i < 3; i++) await queryBytes(agent, id, "peek");
  t.ok(again - (await statusOf(id)).cycles < 1_000_000n, "queries are free");
  await t.rejects(updateBytes(agent, id, "trap"), /IC0502/);
  t.ok(again - (await statusOf(id)).cycles > executionCost(0), "a trapped update is charged");
});

t.test("canister_status gives the cost of memory", async (t) => {
  const { memory_size, idle_cycles_burned_per_day, settings } = await statusOf(await deploy(agent, TINY));
  t.ok(memory_size > 65_536n);
  t.equal(idle_cycles_burned_per_day, (memory_size * BigInt(PRICES.gibSecond) * 86_400n) / 1024n ** 3n);
  t.equal(settings.freezing_threshold, 2_592_000n, "30 days");
});

t.test("a frozen canister answers neither queries nor updates until it is topped up", async (t) => {
  const id = await deploy(agent, TINY);
  await updateBytes(agent, id, "bump");
  await freeze(id);
  t.equal((await statusOf(id)).settings.freezing_threshold, FOR_EVER);
  const query = await agent.query(id, { methodName: "peek", arg: NO_ARGUMENT });
  t.match(query, {
    status: "rejected",
    reject_code: 2,
    error_code: "IC0207",
    reject_message: `Canister ${id.toText()} is unable to process query calls because it's frozen. Please top up the canister with cycles and try again.`,
  });
  await t.rejects(updateBytes(agent, id, "bump"), {
    message:
      /^IC0207: Canister .* is out of cycles: please top up the canister with at least \d+ additional cycles$/,
  });
  // Nor can a frozen canister pay for new code.
  const upgrade = { canister_id: id, wasm_module: TINY, arg: NO_ARGUMENT, mode: { reinstall: null } };
  t.match(await rejection(ic.install_code!(upgrade)), { code: 2, errorCode: "IC0207" });
  t.match(await rejection(ic.upload_chunk!({ canister_id: id, chunk: Buffer.alloc(10) })), {
    errorCode: "IC0207",
  });
  await ic.stop_canister!({ canister_id: id });
  await ic.start_canister!({ canister_id: id });

  // Anybody may top it up.
  const theirs = management(await agentFor(network, stranger));
  await theirs.provisional_top_up_canister!({ canister_id: id, amount: 1n << 80n });
  t.equal((await queryBytes(agent, id, "peek"))[15], 8, "the state is as it was before the freeze");
  t.equal((await updateBytes(agent, id, "bump"))[15], 9);
});

t.test("a canister can be created with a freezing threshold, and an invalid one is refused", async (t) => {
  const make = (settings: ReturnType<typeof freezingAfter>, amount: [] | [bigint]) =>
    ic.provisional_create_canister_with_cycles!({ amount, settings: [settings], specified_id: [] });
  const { canister_id } = (await make(freezingAfter(10n), [1234n])) as { canister_id: Principal };
  t.match(await statusOf(canister_id), { cycles: 1234n, settings: { freezing_threshold: 10n } });
  await ic.provisional_top_up_canister!({ canister_id, amount: 5n });
  t.equal((await statusOf(canister_id)).cycles, 1239n, "a canister without memory costs nothing");
  t.match(await rejection(make(freezingAfter(1n << 64n), [])), { errorCode: "IC0408" });
  const install = { canister_id, wasm_module: TINY, arg: NO_ARGUMENT, mode: { install: null } };
  t.match(
    await rejection(ic.install_code!(install)),
    { errorCode: "IC0207" },
    "the canister has too few cycles for any code",
  );
});

t.test("a canister can deposit, attach and burn cycles", async (t) => {
  const spender = fileURLToPath(new URL("./canisters/spender/main.mo", import.meta.url));
  const id = await deploy(agent, compiled(spender));
  const { burn, attach, deposit } = Actor.createActor(
    () =>
      IDL.Service({
        burn: IDL.Func([IDL.Nat], [IDL.Nat], []),
        attach: IDL.Func([IDL.Nat], [IDL.Nat], []),
        deposit: IDL.Func([IDL.Nat, IDL.Principal], [IDL.Nat], []),
      }),
    { agent, canisterId: id },
  ) as AnyActor;
  const other = await deploy(agent, TINY);
  const had = (await statusOf(other)).cycles;
  t.equal(await deposit!(T, other), 0n, "deposit_cycles refunds nothing");
  t.ok(
    (await statusOf(other)).cycles > had + T - 1_000_000_000n,
    "the other canister gets the deposited cycles",
  );
  t.equal(await attach!(T), T, "raw_rand refunds all cycles");
  t.equal(await burn!(T), T, "all the requested cycles are burnt");
  t.ok((await burn!((await statusOf(id)).cycles)) > 90n * T, "nearly all cycles can be burnt");
  const { cycles, idle_cycles_burned_per_day: day } = await statusOf(id);
  t.ok(cycles > 29n * day, `${cycles} cycles remain to pay for memory until the freezing threshold`);
});
