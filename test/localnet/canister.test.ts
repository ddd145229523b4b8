import { fileURLToPath } from "node:url";
import { Actor, Certificate, HttpAgent } from "@icp-sdk/core/agent";
import { IDL } from "@icp-sdk/core/candid";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { compiled } from "../support/compiled.ts";
import {
  type AnyActor,
  agentFor,
  deploy,
  KEEP,
  management,
  NO_ARGUMENT,
  rejection,
  startNetwork,
} from "./setup.ts";

const wasm = compiled(fileURLToPath(new URL("./canisters/counter/main.mo", import.meta.url)));
const MIB = 1024 * 1024;

const blob = IDL.Vec(IDL.Nat8);
const service = IDL.Service({
  get: IDL.Func([], [IDL.Nat], ["query"]),
  transientCount: IDL.Func([], [IDL.Nat], ["query"]),
  tickCount: IDL.Func([], [IDL.Nat], ["query"]),
  increment: IDL.Func([], [IDL.Nat], []),
  spoil: IDL.Func([], [], []),
  touch: IDL.Func([], [IDL.Nat], ["query"]),
  store: IDL.Func([IDL.Nat64, blob], [], []),
  load: IDL.Func([IDL.Nat64, IDL.Nat], [blob], ["query"]),
  regionPages: IDL.Func([], [IDL.Nat64], ["query"]),
  certify: IDL.Func([blob], [], []),
  certificate: IDL.Func([], [IDL.Opt(blob)], ["query"]),
  spin: IDL.Func([], [], []),
  spinQuery: IDL.Func([], [], ["query"]),
  recurse: IDL.Func([IDL.Nat], [IDL.Nat], []),
  awaitThenTrap: IDL.Func([], [], []),
  tellThenAwait: IDL.Func([], [IDL.Nat], []),
  callOther: IDL.Func([IDL.Principal], [IDL.Nat], []),
  catchReject: IDL.Func([IDL.Principal], [IDL.Text], []),
  startTimer: IDL.Func([], [], []),
  random: IDL.Func([], [blob], []),
  whoami: IDL.Func([], [IDL.Principal], []),
  refused: IDL.Func([], [], []),
});

const network = await startNetwork(t);
const agent = await agentFor(network);

function actorOn(canisterId: Principal, on = agent): AnyActor {
  return Actor.createActor(() => service, { agent: on, canisterId });
}

async function newCounter(): Promise<{ id: Principal; counter: AnyActor }> {
  const id = await deploy(agent, wasm);
  return { id, counter: actorOn(id) };
}

const { id, counter } = await newCounter();

t.test("updates and queries pass every check of the agent", async (t) => {
  const before = (await counter.get!()) as bigint;
  t.equal(await counter.increment!(), before + 1n);
  t.equal(await counter.get!(), before + 1n);
  const caller = (await counter.whoami!()) as Principal;
  t.equal(caller.toText(), (await agent.getPrincipal()).toText());
});

t.test("a query method can be called as an update", async (t) => {
  const replicated = Actor.createActor<Record<string, () => Promise<bigint>>>(
    () => IDL.Service({ get: IDL.Func([], [IDL.Nat], []), touch: IDL.Func([], [IDL.Nat], []) }),
    { agent, canisterId: id },
  );
  const before = await counter.get!();
  t.equal(await replicated.get!(), before);
  t.equal(await replicated.touch!(), before + 1n);
  t.equal(await counter.get!(), before, "a query that is called as an update leaves nothing behind");
});

t.test("asynchronous calls and polling", async (t) => {
  const { requestId, response } = await agent.call(id, {
    methodName: "increment",
    arg: NO_ARGUMENT,
    callSync: false,
  });
  t.equal(response.status, 202);
  const path = [new Uint8Array(Buffer.from("request_status")), requestId];
  let answer: string | undefined;
  while (answer !== "replied") {
    const { certificate } = await agent.readState({ canisterId: id }, { paths: [path] });
    const verified = await Certificate.create({
      certificate,
      rootKey: network.rootKey,
      principal: { canisterId: id },
    });
    const status = verified.lookup_path([...path, new Uint8Array(Buffer.from("status"))]);
    if (status.status === "Found") answer = Buffer.from(status.value).toString();
    t.notMatch(answer, /rejected|done/);
  }
});

t.test("a trap rolls everything back", async (t) => {
  const { id, counter } = await newCounter();
  await counter.increment!();
  await counter.store!(0n, Uint8Array.of(1, 2, 3));
  await counter.certify!(Uint8Array.of(1));
  const pages = await counter.regionPages!();
  const { code, message, errorCode, certified } = await rejection(counter.spoil!());
  t.equal(code, 5);
  t.equal(errorCode, "IC0503");
  t.match(message, `Error from Canister ${id.toText()}: Canister called \`ic0.trap\` with message: 'spoilt'`);
  t.equal(certified, true);
  t.equal(await counter.get!(), 1n, "heap");
  t.same(await counter.load!(0n, 3n), [1, 2, 3], "stable memory");
  t.equal(await counter.regionPages!(), pages, "stable memory's size");
  t.same(await certifiedData(id, counter), [1], "certified data");
});

t.test("a query leaves nothing behind", async (t) => {
  const { counter } = await newCounter();
  await counter.store!(0n, Uint8Array.of(5));
  const pages = await counter.regionPages!();
  t.equal(await counter.touch!(), 1n);
  t.equal(await counter.touch!(), 1n);
  t.equal(await counter.get!(), 0n);
  t.equal(await counter.increment!(), 1n, "the next update does not see a query's changes");
  t.same(await counter.load!(0n, 1n), [5]);
  t.equal(await counter.regionPages!(), pages);
});

t.test("stable memory over many pages and segments", async (t) => {
  const { counter } = await newCounter();
  const data = Uint8Array.from({ length: MIB }, (_, index) => (index * 31) >> 4);
  for (const at of [0, MIB - 3, 3.5 * MIB, 7 * MIB + 1]) {
    await counter.store!(BigInt(at), data);
    t.same(Buffer.from(await counter.load!(BigInt(at), BigInt(MIB))), Buffer.from(data), `at ${at}`);
  }
  t.same(await counter.load!(BigInt(MIB - 4), 1n), [data[MIB - 4]], "the bytes before a store are unchanged");
});

async function certifiedData(id: Principal, counter: AnyActor): Promise<number[] | undefined> {
  const [certificate] = (await counter.certificate!()) as [Uint8Array];
  const verified = await Certificate.create({
    certificate: Uint8Array.from(certificate),
    rootKey: network.rootKey,
    principal: { canisterId: id },
  });
  const path = ["canister", id.toUint8Array(), "certified_data"].map(
    (label) => new Uint8Array(Buffer.from(label)),
  );
  const found = verified.lookup_path(path);
  return found.status === "Found" ? [...found.value] : undefined;
}

t.test("certified data", async (t) => {
  const { id, counter } = await newCounter();
  t.same(await certifiedData(id, counter), [], "certified data is empty at first");
  await counter.certify!(Uint8Array.of(7, 8));
  t.same(await certifiedData(id, counter), [7, 8]);
  t.match(await rejection(counter.certify!(new Uint8Array(33))), { message: /certified data of 33 bytes/ });
  t.same(await certifiedData(id, counter), [7, 8]);
  const [certificate] = (await counter.certificate!()) as [Uint8Array];
  const other = await startNetwork(t);
  await t.rejects(
    Certificate.create({
      certificate: Uint8Array.from(certificate),
      rootKey: other.rootKey,
      principal: { canisterId: id },
    }),
    /Signature verification failed|Invalid signature/,
    "the certificate does not verify with another root key",
  );
});

t.test("another root key is refused", async (t) => {
  const other = await startNetwork(t);
  const misled = await HttpAgent.create({ host: network.url, rootKey: other.rootKey, retryTimes: 0 });
  await t.rejects(actorOn(id, misled).increment!(), { name: /Trust/ });
  await t.rejects(
    actorOn(id, misled).get!(),
    { name: /Trust/ },
    "a query fails as well, without a certified key of its node",
  );
  await misled.fetchRootKey();
  await actorOn(id, misled).increment!();
});

t.test("inspect_message can refuse ingress messages", async (t) => {
  // Motoko's inspect_message traps to refuse a call.
  const refused = await rejection(counter.refused!());
  t.match(refused, { code: 5, errorCode: "IC0503", message: /refuse/, certified: false });
});

t.test("calls between canisters", async (t) => {
  const other = await newCounter();
  t.equal(await counter.callOther!(other.id), 1n);
  t.equal(await other.counter.get!(), 1n);
  t.match(await counter.catchReject!(other.id), /spoilt/, "a trap in the other canister is a reject here");
  t.equal(await other.counter.get!(), 1n);
  const nobody = Principal.fromText("oeagv-5qaaa-aaaah-aar4q-cai");
  t.match(await counter.catchReject!(nobody), /Canister oeagv-5qaaa-aaaah-aar4q-cai not found/);
});

t.test("await commits; a trap after it rolls back only later changes", async (t) => {
  const { counter } = await newCounter();
  t.match(await rejection(counter.awaitThenTrap!()), { message: /after await/ });
  t.equal(await counter.get!(), 1n);
  t.equal(await counter.transientCount!(), 1n, "the change by the awaited call stays");
});

t.test("a one-way call does not end the call that makes it", async (t) => {
  const { counter } = await newCounter();
  t.equal(await counter.tellThenAwait!(), 1n);
});

t.test("canisters can call the management canister", async (t) => {
  const first = Buffer.from(await counter.random!());
  t.equal(first.length, 32);
  t.not(Buffer.compare(first, Buffer.from(await counter.random!())), 0);
});

t.test("many calls at once", async (t) => {
  const { counter } = await newCounter();
  const calls = Array.from({ length: 60 }, (_, index) =>
    index % 3 === 0 ? counter.increment!() : counter.touch!(),
  );
  const answers = (await Promise.all(calls)) as bigint[];
  const counted = answers.filter((_, index) => index % 3 === 0).sort((a, b) => Number(a - b));
  t.same(
    counted,
    Array.from({ length: 20 }, (_, index) => BigInt(index + 1)),
    "each increment has its own result",
  );
  t.equal(await counter.get!(), 20n);
});

t.test("timers", async (t) => {
  await counter.startTimer!();
  while ((await counter.tickCount!()) === 0n) await new Promise((resolve) => setTimeout(resolve, 10));
  t.equal(await counter.tickCount!(), 1n);
});

t.test("a stack overflow is a trap", async (t) => {
  const before = await counter.get!();
  t.match(await rejection(counter.recurse!(100_000_000n)), { code: 5, errorCode: /IC050[23]/ });
  t.equal(await counter.get!(), before);
});

t.test("an upgrade keeps stable variables, stable memory and certified data", async (t) => {
  const { id, counter } = await newCounter();
  await counter.increment!();
  await counter.store!(0n, Uint8Array.of(4));
  await counter.certify!(Uint8Array.of(6));
  const install = { canister_id: id, wasm_module: wasm, arg: NO_ARGUMENT };
  const refused = await rejection(management(agent).install_code!({ ...install, mode: { upgrade: [] } }));
  t.match(refused, { code: 5, message: /wasm_memory_persistence/ });
  await management(agent).install_code!({ ...install, mode: KEEP });
  t.equal(await counter.get!(), 1n);
  t.equal(await counter.transientCount!(), 0n);
  t.same(await counter.load!(0n, 1n), [4]);
  t.same(await certifiedData(id, counter), [6]);
  t.equal(await counter.increment!(), 2n);

  const broken = { ...install, wasm_module: wasm.subarray(0, 5000) };
  t.match(await rejection(management(agent).install_code!({ ...broken, mode: KEEP })), {
    errorCode: "IC0505",
  });
  t.equal(await counter.get!(), 2n, "a failed upgrade changes nothing");
  t.equal(await counter.increment!(), 3n);

  await management(agent).install_code!({ ...install, mode: { reinstall: null } });
  t.equal(await counter.get!(), 0n);
  t.equal(await counter.regionPages!(), 0n);
  t.same(await certifiedData(id, counter), []);
});

t.test("replies that are too large are rejected", async (t) => {
  const { id, counter } = await newCounter();
  await counter.store!(BigInt(3 * MIB), Uint8Array.of(1));
  t.equal((await counter.load!(0n, BigInt(3 * MIB - 100))).length, 3 * MIB - 100);
  t.match(await rejection(counter.load!(0n, BigInt(3 * MIB))), {
    errorCode: "IC0504",
    message: /limit of 3145728/,
  });
  const replicated = Actor.createActor<Record<string, (at: bigint, length: bigint) => Promise<Uint8Array>>>(
    () => IDL.Service({ load: IDL.Func([IDL.Nat64, IDL.Nat], [blob], []) }),
    { agent, canisterId: id },
  );
  t.equal((await replicated.load!(0n, BigInt(2 * MIB - 100))).length, 2 * MIB - 100);
  t.match(await rejection(replicated.load!(0n, BigInt(2 * MIB))), {
    errorCode: "IC0504",
    message: /limit of 2097152/,
  });
});

t.test("a canister in an endless loop is interrupted and continues from its last state", async (t) => {
  const impatient = await startNetwork(t, { messageTimeLimit: 5000 });
  const agent = await agentFor(impatient);
  const counter = actorOn(await deploy(agent, wasm), agent);
  await counter.increment!();
  await counter.store!(0n, Uint8Array.of(9));
  t.match(await rejection(counter.spin!()), { code: 5, errorCode: "IC0522" });
  t.equal(await counter.get!(), 1n);
  t.match(await rejection(counter.spinQuery!()), { errorCode: "IC0522" });
  t.same(await counter.load!(0n, 1n), [9]);
  t.equal(await counter.increment!(), 2n);
});
