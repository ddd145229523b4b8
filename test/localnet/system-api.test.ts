/** The system API as canisters of 32-bit memory see it: environment variables, composite queries, kinds of execution. */
import { Actor } from "@icp-sdk/core/agent";
import { IDL } from "@icp-sdk/core/candid";
import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { temporaryDirectory } from "../support/icfs.ts";
import { assemble, I32 } from "./assemble.ts";
import {
  agentFor,
  deploy,
  management,
  NO_ARGUMENT,
  owner,
  queryBytes,
  rejection,
  startNetwork,
  updateBytes,
} from "./setup.ts";

const i32 = (value: number): number[] => [0x41, value];
const call = (index: number): number[] => [0x10, index];
const IMPORTS: [string, number[], number[]][] = [
  ["msg_reply", [], []],
  ["msg_reply_data_append", [I32, I32], []],
  ["env_var_count", [], [I32]],
  ["env_var_name_size", [I32], [I32]],
  ["env_var_name_copy", [I32, I32, I32, I32], []],
  ["env_var_name_exists", [I32, I32], [I32]],
  ["env_var_value_size", [I32, I32], [I32]],
  ["env_var_value_copy", [I32, I32, I32, I32, I32], []],
  ["in_replicated_execution", [], [I32]],
  ["call_new", Array(8).fill(I32), []],
  ["msg_arg_data_size", [], [I32]],
  ["msg_arg_data_copy", [I32, I32, I32], []],
];
const [REPLY, APPEND, COUNT, NAME_SIZE, NAME, EXISTS, VALUE_SIZE, VALUE, REPLICATED, CALL_NEW, SIZE, COPY] =
  IMPORTS.keys() as unknown as Iterable<number>;
const replyByte = (value: number[]): number[] => [
  ...[...i32(0), ...value, 0x3a, 0, 0],
  ...[...i32(0), ...i32(1), ...call(APPEND!), ...call(REPLY!)],
];
/** The address of the argument, and code that copies it there. */
const ARGUMENT = i32(32);
const copyArgument = [...ARGUMENT, ...i32(0), ...call(SIZE!), ...call(COPY!)];
const named = [...ARGUMENT, ...call(SIZE!)];
const lastIndex = [...call(COUNT!), ...i32(1), 0x6b];

const wasm = assemble({
  imports: IMPORTS,
  globals: [0],
  functions: [
    { name: "canister_query count", body: replyByte(call(COUNT!)) },
    {
      name: "canister_query lastName",
      body: [
        ...[...lastIndex, ...i32(0), ...i32(0), ...lastIndex, ...call(NAME_SIZE!), ...call(NAME!)],
        ...[...i32(0), ...lastIndex, ...call(NAME_SIZE!), ...call(APPEND!), ...call(REPLY!)],
      ],
    },
    { name: "canister_query exists", body: [...copyArgument, ...replyByte([...named, ...call(EXISTS!)])] },
    {
      name: "canister_query value",
      body: [
        ...copyArgument,
        ...[...named, ...i32(0), ...i32(0), ...named, ...call(VALUE_SIZE!), ...call(VALUE!)],
        ...[...i32(0), ...named, ...call(VALUE_SIZE!), ...call(APPEND!), ...call(REPLY!)],
      ],
    },
    { name: "canister_query beyond", body: [...i32(20), ...call(NAME_SIZE!), 0x1a] },
    { name: "canister_query replicated", body: replyByte(call(REPLICATED!)) },
    {
      name: "canister_composite_query composite",
      body: [0x23, 0, ...i32(1), 0x6a, 0x24, 0, ...replyByte([0x23, 0])],
    },
    { name: "canister_composite_query calling", body: [...Array(8).fill(i32(0)).flat(), ...call(CALL_NEW!)] },
  ],
});

const network = await startNetwork(t);
const agent = await agentFor(network);

const query = (id: Principal, method: string, argument?: string) => queryBytes(agent, id, method, argument);

const variable = (name: string, value: string) => ({ name, value });
const settings = (...variables: { name: string; value: string }[]) => ({
  controllers: [],
  environment_variables: [variables],
  freezing_threshold: [],
});

t.test("environment variables", async (t) => {
  const id = await deploy(agent, wasm);
  const ic = management(agent);
  t.equal((await query(id, "count"))[0], 0);
  t.equal((await query(id, "exists", "PUBLIC_A"))[0], 0);
  const given = [variable("PUBLIC_A", "the first"), variable("ö", "größer")];
  await ic.update_settings!({ canister_id: id, settings: settings(...given) });
  t.equal((await query(id, "count"))[0], 2);
  t.equal((await query(id, "lastName")).toString(), "ö");
  t.equal((await query(id, "exists", "PUBLIC_A"))[0], 1);
  t.equal((await query(id, "value", "PUBLIC_A")).toString(), "the first");
  t.equal((await query(id, "value", "ö")).toString(), "größer");
  await t.rejects(query(id, "value", "B"), /there is no environment variable "B"/);
  await t.rejects(query(id, "beyond"), /there is no environment variable 20/);
  const status = (await ic.canister_status!({ canister_id: id })) as { settings: Record<string, unknown> };
  t.same(status.settings.environment_variables, given);
  const controllers = status.settings.controllers as Principal[];
  t.equal(controllers.join(), owner.getPrincipal().toText(), "the controllers are unchanged");

  const refused: [variables: { name: string; value: string }[], reason: RegExp][] = [
    [[variable("a", "1"), variable("a", "2")], /given twice/],
    [[variable("a", "x".repeat(129))], /longer than 128 bytes/],
    [[variable("ö".repeat(65), "x")], /longer than 128 bytes/],
    [Array.from({ length: 21 }, (_, index) => variable(`${index}`, "")), /at most 20/],
  ];
  for (const [variables, message] of refused) {
    const call = ic.update_settings!({ canister_id: id, settings: settings(...variables) });
    t.match(await rejection(call), { errorCode: "IC0408", message });
  }
  t.equal((await query(id, "count"))[0], 2, "refused settings change nothing");
  const nothing = { controllers: [], environment_variables: [], freezing_threshold: [] };
  await ic.update_settings!({ canister_id: id, settings: nothing });
  t.equal((await query(id, "count"))[0], 2, "settings that are not given stay as they are");
  await ic.update_settings!({ canister_id: id, settings: settings() });
  t.equal((await query(id, "count"))[0], 0);
});

t.test("environment variables of a new canister survive a restart", async (t) => {
  const state = await temporaryDirectory(t);
  let network = await startNetwork(t, { state });
  const ic = management(await agentFor(network));
  const { canister_id } = await ic.provisional_create_canister_with_cycles!({
    amount: [],
    settings: [settings(variable("A", "kept"))],
    specified_id: [],
  });
  const install = { mode: { install: null }, canister_id, wasm_module: wasm, arg: NO_ARGUMENT };
  await ic.install_code!(install);
  t.equal((await queryBytes(await agentFor(network), canister_id, "value", "A")).toString(), "kept");
  await network.close();
  network = await startNetwork(t, { state });
  t.equal((await queryBytes(await agentFor(network), canister_id, "value", "A")).toString(), "kept");
});

t.test("clients that do not know of environment variables leave them unchanged", async (t) => {
  const id = await deploy(agent, wasm);
  await management(agent).update_settings!({ canister_id: id, settings: settings(variable("A", "1")) });
  const older = IDL.Record({ controllers: IDL.Opt(IDL.Vec(IDL.Principal)) });
  const request = IDL.Record({ canister_id: IDL.Principal, settings: older });
  const ic = Actor.createActor<Record<string, (request: unknown) => Promise<void>>>(
    () => IDL.Service({ update_settings: IDL.Func([request], [], []) }),
    { agent, canisterId: Principal.managementCanister(), effectiveCanisterId: id },
  );
  await ic.update_settings!({ canister_id: id, settings: { controllers: [] } });
  t.equal((await query(id, "value", "A")).toString(), "1");
});

t.test("composite queries", async (t) => {
  const id = await deploy(agent, wasm);
  t.equal((await query(id, "composite"))[0], 1);
  t.equal((await query(id, "composite"))[0], 1, "a composite query leaves nothing behind");
  await t.rejects(query(id, "calling"), /"call_new" cannot be executed in composite_query mode/);
  await t.rejects(updateBytes(agent, id, "composite"), /^IC0527: .* cannot be called as an update/);
});

t.test("a query method can tell whether it is called as a query", async (t) => {
  const id = await deploy(agent, wasm);
  t.equal((await query(id, "replicated"))[0], 0);
  t.equal((await updateBytes(agent, id, "replicated"))[0], 1);
});
