/** --state: what a network writes to its directory, and who may use the directory. */
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Actor, Certificate } from "@icp-sdk/core/agent";
import { IDL } from "@icp-sdk/core/candid";
import type { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { type LocalNetwork, startLocalNetwork } from "../../localnet/index.ts";
import { compiled } from "../support/compiled.ts";
import { exactly } from "../support/exactly.ts";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../support/icfs.ts";
import { assemble, I32, I64, TINY } from "./assemble.ts";
import {
  type AnyActor,
  agentFor,
  controlledBy,
  deploy,
  freezingAfter,
  KEEP,
  management,
  NO_ARGUMENT,
  owner,
  rejection,
  startNetwork,
  stranger,
} from "./setup.ts";

const wasm = compiled(fileURLToPath(new URL("./canisters/counter/main.mo", import.meta.url)));
const blob = IDL.Vec(IDL.Nat8);
const service = IDL.Service({
  get: IDL.Func([], [IDL.Nat], ["query"]),
  transientCount: IDL.Func([], [IDL.Nat], ["query"]),
  increment: IDL.Func([], [IDL.Nat], []),
  spoil: IDL.Func([], [], []),
  store: IDL.Func([IDL.Nat64, blob], [], []),
  load: IDL.Func([IDL.Nat64, IDL.Nat], [blob], ["query"]),
  regionPages: IDL.Func([], [IDL.Nat64], ["query"]),
  certificate: IDL.Func([], [IDL.Opt(blob)], ["query"]),
  certify: IDL.Func([blob], [], []),
});

async function counterOn(network: LocalNetwork, canisterId: Principal): Promise<AnyActor> {
  return Actor.createActor(() => service, { agent: await agentFor(network), canisterId });
}

/** The bytes that a method of a small module answers with. */
async function ask(network: LocalNetwork, id: Principal, methodName: string): Promise<Buffer> {
  const agent = await agentFor(network);
  const answer = await agent.query(id, { methodName, arg: NO_ARGUMENT });
  if (answer.status !== "replied") throw new Error(answer.reject_message);
  return Buffer.from(answer.reply.arg);
}

/** Calls a method of a small module, whatever it answers. */
async function update(network: LocalNetwork, id: Principal, methodName: string): Promise<void> {
  const { response } = await (await agentFor(network)).call(id, { methodName, arg: NO_ARGUMENT });
  const body = response.body as { certificate?: Uint8Array; reject_message?: string } | null;
  if (body?.certificate === undefined) throw new Error(body?.reject_message ?? "no certificate");
}

async function nodeKeys(network: LocalNetwork, id: Principal): Promise<[string, string][]> {
  const subnet = await (await agentFor(network)).fetchSubnetKeys({ canisterId: id });
  return Array.from(subnet, ([node, key]) => [node, Buffer.from(key).toString("hex")]);
}

async function certifiedData(network: LocalNetwork, id: Principal, counter: AnyActor): Promise<string> {
  const [certificate] = (await counter.certificate!()) as [Uint8Array];
  const verified = await Certificate.create({
    certificate,
    rootKey: network.rootKey,
    principal: { canisterId: id },
  });
  const labels = [Buffer.from("canister"), id.toUint8Array(), Buffer.from("certified_data")];
  const found = verified.lookup_path(labels.map((label) => new Uint8Array(label)));
  return found.status === "Found" ? Buffer.from(found.value).toString() : found.status;
}

t.test("a restart keeps keys, canisters and everything in them", async (t) => {
  const state = join(await temporaryDirectory(t), "state");
  let network = await startNetwork(t, { state });
  const before = network;
  const agent = await agentFor(network);
  const id = await deploy(agent, wasm);
  const other = await deploy(agent, TINY, "rrkah-fqaaa-aaaaa-aaaaq-cai");
  let counter = await counterOn(network, id);
  for (let i = 0; i < 5; i++) await counter.increment!();
  const bytes = Buffer.alloc(3 * 65_536, "abcdefg");
  await counter.store!(1_000_000n, bytes);
  await counter.certify!(Buffer.from("certified"));
  await rejection(counter.spoil!());
  await update(network, other, "bump");
  await update(network, other, "stable");
  const controllers = [owner.getPrincipal(), stranger.getPrincipal()];
  await management(agent).update_settings!({ canister_id: other, settings: controlledBy(...controllers) });
  await management(agent).provisional_top_up_canister!({ canister_id: other, amount: 12_345n });
  await management(agent).stop_canister!({ canister_id: other });
  const statusOf = async (of: Principal) =>
    management(await agentFor(network)).canister_status!({ canister_id: of });
  await management(agent).update_settings!({ canister_id: id, settings: freezingAfter(86_400n) });
  const statuses = [await statusOf(id), await statusOf(other)] as { cycles: bigint }[];
  const pages = await counter.regionPages!();
  const nodes = await nodeKeys(network, id);
  await network.close();

  network = await startNetwork(t, { state });
  t.same(network.rootKey, before.rootKey, "the root key");
  t.same(await nodeKeys(network, id), nodes, "the node's key");
  for (const [index, canister] of [id, other].entries()) {
    const { cycles, ...status } = (await statusOf(canister)) as { cycles: bigint };
    const { cycles: before, ...wanted } = statuses[index]!;
    t.same(status, wanted, "status, settings, module, sizes, version");
    t.match(status, { settings: { freezing_threshold: index === 0 ? 86_400n : 2_592_000n } });
    // Memory goes on costing cycles, except between the last change and the end.
    const spent = before - cycles;
    t.ok(spent > -1_000_000n && spent < 1_000_000_000n, `${cycles} cycles of ${before}`);
  }
  counter = await counterOn(network, id);
  t.equal(await counter.get!(), 5n, "the heap");
  t.equal(
    await counter.transientCount!(),
    5n,
    "the transient variable, which an upgrade would reset, keeps its value",
  );
  t.equal(await counter.regionPages!(), pages);
  t.same(Buffer.from((await counter.load!(1_000_000n, bytes.length)) as Uint8Array), bytes, "stable memory");
  t.equal(await certifiedData(network, id, counter), "certified");
  await t.rejects(update(network, other, "bump"), /is stopped/);
  await management(await agentFor(network)).start_canister!({ canister_id: other });
  t.same(
    [...(await ask(network, other, "peek"))].slice(0, 2),
    [9, 5],
    "the bytes that bump and the start function wrote",
  );
  t.equal((await ask(network, other, "peek"))[15], 8, "a global");
  t.equal((await ask(network, other, "peekStable"))[0], 42);
  t.equal(await counter.increment!(), 6n, "the counter goes on from its kept value");
  const next = await deploy(await agentFor(network), TINY);
  t.not(next.toText(), id.toText(), "a new canister gets a new id");
  await network.close();

  network = await startNetwork(t, { state });
  t.equal(await (await counterOn(network, id)).get!(), 6n, "once more");
  t.same([...(await ask(network, next, "peek"))].slice(0, 2), [0, 5]);
});

t.test("a restart keeps upgrades, reinstallations, uninstallations and deletions", async (t) => {
  const state = await temporaryDirectory(t);
  let network = await startNetwork(t, { state });
  const agent = await agentFor(network);
  const [upgraded, reinstalled, emptied, deleted] = [
    await deploy(agent, wasm),
    await deploy(agent, wasm),
    await deploy(agent, wasm),
    await deploy(agent, TINY),
  ];
  for (const id of [upgraded, reinstalled, emptied]) {
    const counter = await counterOn(network, id);
    await counter.increment!();
    await counter.store!(0n, Buffer.from("old"));
  }
  const { canister_id: fresh } = await management(agent).provisional_create_canister_with_cycles!({
    amount: [77n],
    settings: [],
    specified_id: [],
  });
  const other = Buffer.concat([wasm, Buffer.from("000403786162", "hex")]); // the same, with a section named "xab"
  const arguments_ = { arg: NO_ARGUMENT, wasm_module: other };
  await management(agent).install_code!({ mode: KEEP, canister_id: upgraded, ...arguments_ });
  await management(agent).install_code!({
    mode: { reinstall: null },
    canister_id: reinstalled,
    ...arguments_,
  });
  await management(agent).uninstall_code!({ canister_id: emptied });
  await management(agent).stop_canister!({ canister_id: deleted });
  await management(agent).delete_canister!({ canister_id: deleted });
  const wanted = (await management(agent).canister_status!({ canister_id: upgraded })) as {
    module_hash: unknown;
  };
  await network.close();

  network = await startNetwork(t, { state });
  const statusOf = async (id: Principal) =>
    management(await agentFor(network)).canister_status!({ canister_id: id });
  const kept = await counterOn(network, upgraded);
  t.match(
    await statusOf(upgraded),
    { module_hash: wanted.module_hash },
    "the upgraded canister has the new module",
  );
  t.equal(await kept.get!(), 1n);
  t.equal(await kept.transientCount!(), 0n, "the upgrade has reset the transient variable");
  t.equal(Buffer.from((await kept.load!(0n, 3)) as Uint8Array).toString(), "old");
  const again = await counterOn(network, reinstalled);
  t.equal(await again.get!(), 0n);
  t.equal(await again.regionPages!(), 0n);
  await again.store!(0n, Buffer.from("n"));
  t.same(
    Buffer.from((await again.load!(0n, 3)) as Uint8Array),
    Buffer.from("n\0\0"),
    "nothing of the old stable memory is left",
  );
  t.match(await statusOf(emptied), { module_hash: exactly() });
  t.match(await statusOf(fresh), { module_hash: exactly(), cycles: 77n });
  await t.rejects(statusOf(deleted), /not found/);
  const next = await deploy(await agentFor(network), TINY);
  t.not(next.toText(), deleted.toText(), "the id of a deleted canister is not used again");
  const files = await readdir(join(state, "canisters", upgraded.toText()));
  t.equal(files.filter((name) => name.startsWith("module-")).length, 1, "the old module's file is gone");
});

t.test("timers survive a restart", async (t) => {
  const state = await temporaryDirectory(t);
  const thirtySeconds = [0x42, 0x80, 0xd8, 0x8e, 0xe1, 0xef, 0x00]; // i64.const 30 000 000 000
  const timed = assemble({
    imports: [
      ["msg_reply", [], []],
      ["msg_reply_data_append", [I32, I32], []],
      ["time", [], [I64]],
      ["global_timer_set", [I64], [I64]],
    ],
    globals: [0],
    functions: [
      { name: "canister_update arm", body: [0x10, 2, ...thirtySeconds, 0x7c, 0x10, 3, 0x1a, 0x10, 0] },
      { name: "canister_global_timer", body: [0x23, 0, 0x41, 1, 0x6a, 0x24, 0] },
      {
        name: "canister_query fired",
        body: [0x41, 0, 0x23, 0, 0x3a, 0, 0, 0x41, 0, 0x41, 1, 0x10, 1, 0x10, 0],
      },
    ],
  });
  // The clock of this network is a minute behind that of the last one.
  let network = await startNetwork(t, { state, timeOffset: -60_000 });
  const id = await deploy(await agentFor(network), timed);
  await update(network, id, "arm");
  await network.close();
  network = await startNetwork(t, { state, timeOffset: -60_000 });
  t.same([...(await ask(network, id, "fired"))], [0], "not due yet");
  await network.close();
  network = await startNetwork(t, { state });
  while ((await ask(network, id, "fired"))[0] === 0) await sleep(10);
  await network.close();
  network = await startNetwork(t, { state });
  t.same([...(await ask(network, id, "fired"))], [1], "once");
});

t.test("the state directory", async (t) => {
  const state = join(await temporaryDirectory(t), "a", "state");
  const network = await startNetwork(t, { state });
  const id = await deploy(await agentFor(network), TINY);
  const names = await readdir(state, { recursive: true });
  for (const name of [".", ...names]) {
    const { mode } = await stat(join(state, name));
    t.equal(mode & 0o077, 0, `only the owner can access ${name}`);
  }
  t.equal((await stat(join(state, "keys"))).mode & 0o777, 0o600);

  await t.test("can be used by only one network at a time", async (t) => {
    const refusal = `${state} is in use by another local network (process ${process.pid})`;
    await t.rejects(startLocalNetwork({ port: 0, state }), { message: refusal });
    const args = ["localnet", "--port", "0", "--state", state];
    const { code, stdout, stderr } = await run(BIN, args, { env: cleanEnvironment(state) });
    t.same({ code, stdout, stderr }, { code: 1, stdout: "", stderr: `icfs: ${refusal}\n` });
    t.equal((await ask(network, id, "peek"))[15], 7, "the first network keeps running");
  });

  await t.test("is released when a network fails to start", async (t) => {
    await network.close();
    const { port } = new URL((await startNetwork(t)).url);
    await t.rejects(startLocalNetwork({ port: Number(port), state }), /is in use on/);
    await (await startNetwork(t, { state })).close();
  });

  await t.test("must be empty or hold a network's state", async (t) => {
    const directory = await temporaryDirectory(t);
    await mkdir(join(directory, "lock.d"));
    await writeFile(join(directory, "thesis.txt"), "all my work");
    await t.rejects(
      startLocalNetwork({ port: 0, state: directory }),
      /not the state of a local network: it is left alone/,
    );
    t.same((await readdir(directory)).sort(), ["lock.d", "thesis.txt"], "nothing is added to the directory");
    t.equal(await readFile(join(directory, "thesis.txt"), "utf8"), "all my work");
    await t.rejects(startLocalNetwork({ port: 0, state: join(directory, "thesis.txt") }), /thesis\.txt/);
  });

  await t.test("is left alone if its format is newer", async (t) => {
    const directory = await temporaryDirectory(t);
    await writeFile(join(directory, "icfs-localnet"), "icfs localnet state, format 2\n");
    await t.rejects(
      startLocalNetwork({ port: 0, state: directory }),
      /its format is 2, and this version knows 1 only/,
    );
    t.same(await readdir(directory), ["icfs-localnet"]);
  });
});

t.test("nothing is written without --state", async (t) => {
  const directory = await temporaryDirectory(t);
  const here = process.cwd();
  process.chdir(directory);
  t.teardown(() => process.chdir(here));
  const network = await startNetwork(t);
  await deploy(await agentFor(network), TINY);
  await network.close();
  t.same(await readdir(directory), []);
});
