/** Modules with features that Motoko's do not have: each message finds their state as the module makes it, or as the last message left it. */
import t from "tap";
import { temporaryDirectory } from "../support/icfs.ts";
import { assemble, I32, text, vector } from "./assemble.ts";
import { agentFor, deploy, queryBytes, startNetwork, updateBytes } from "./setup.ts";

const i32 = (value: number): number[] => [0x41, value];
const store = (address: number, value: number[]): number[] => [...i32(address), ...value, 0x3a, 0, 0];
const [REPLY, APPEND, FIRST] = [0, 1, 2];
const reply = [...i32(0), ...i32(32), 0x10, APPEND, 0x10, REPLY];
const TABLE_IS_NULL = [...i32(0), 0x25, 0, 0xd1];
const REFERENCE_IS_NULL = [0x23, 4, 0xd1];

const change = [
  ...[0xd0, 0x70, ...i32(2), 0xfc, 15, 0, 0x1a], // table.grow 0
  ...[...i32(0), 0xd0, 0x70, 0x26, 0], // table.set 0: null
  ...[0xfc, 9, 0, 0xfc, 13, 1], // data.drop 0, elem.drop 1
  ...[0xd2, FIRST, 0x24, 4], // a reference in a global
  ...[...i32(11), 0x24, 0],
  ...[0x42, 12, 0x24, 1],
  ...[...i32(13), 0xb2, 0x24, 2], // f32.convert_i32_s
  ...[...i32(14), 0xb7, 0x24, 3], // f64.convert_i32_s
];
const look = [
  ...store(0, [0xfc, 16, 0]), // table.size
  ...store(1, TABLE_IS_NULL),
  ...store(2, REFERENCE_IS_NULL),
  ...store(3, [0x23, 0]),
  ...store(4, [0x23, 1, 0xa7]), // i32.wrap_i64
  ...store(5, [0x23, 2, 0xfc, 0]), // i32.trunc_sat_f32_s
  ...store(6, [0x23, 3, 0xfc, 2]), // i32.trunc_sat_f64_s
  ...store(7, [0x23, 5]),
  // From the passive segments: memory.init, and table.init into the second place of table 1.
  ...[...i32(16), ...i32(0), ...i32(5), 0xfc, 8, 0, 0],
  ...[...i32(1), ...i32(0), ...i32(1), 0xfc, 12, 1, 1],
  ...store(8, [...i32(1), 0x25, 1, 0xd1]),
  ...store(9, [...i32(5), 0x40, 0]), // memory.grow: beyond the maximum
];

const wasm = assemble({
  imports: [
    ["msg_reply", [], []],
    ["msg_reply_data_append", [I32, I32], []],
  ],
  functions: [
    { name: "canister_update change", body: [...change, ...reply] },
    { name: "canister_query changeQuery", body: [...change, ...reply] },
    { name: "canister_update trap", body: [...change, 0x00] },
    { name: "canister_query look", body: [...look, ...reply] },
    { name: "canister_update lookUpdate", body: [...look, ...reply] },
  ],
  sections: {
    4: vector([
      [0x70, 1, 1, 10],
      [0x70, 0, 2],
    ]),
    5: vector([[1, 1, 3]]),
    6: vector([
      [I32, 1, ...i32(1), 0x0b],
      [0x7e, 1, 0x42, 2, 0x0b],
      [0x7d, 1, 0x43, 0, 0, 0x40, 0x40, 0x0b], // 3
      [0x7c, 1, 0x44, 0, 0, 0, 0, 0, 0, 0x10, 0x40, 0x0b], // 4
      [0x70, 1, 0xd0, 0x70, 0x0b],
      [I32, 0, ...i32(2), ...i32(3), 0x6a, 0x0b], // immutable, 2 + 3
      [0x7b, 0, 0xfd, 12, ...new Array<number>(16).fill(0), 0x0b],
    ]),
    9: vector([
      [0, ...i32(0), 0x0b, ...vector([[FIRST]])],
      [1, 0, ...vector([[FIRST]])],
    ]),
    12: [2],
    11: vector([
      [1, ...text("hello")],
      [0, ...i32(24), 0x0b, ...text("active")],
    ]),
  },
});

const UNCHANGED = [1, 0, 1, 1, 2, 3, 4, 5, 0, 0xff];
const CHANGED = [1, 0, 1, 11, 12, 13, 14, 5, 0, 0xff];

t.test("tables, passive segments, references and numeric globals", async (t) => {
  const state = await temporaryDirectory(t);
  let network = await startNetwork(t, { state });
  let agent = await agentFor(network);
  const id = await deploy(agent, wasm);
  const look = async (expected: number[], why: string) => {
    const seen = await queryBytes(agent, id, "look");
    t.same([...seen.subarray(0, 10)], expected, why);
    t.equal(Buffer.from(seen.subarray(16, 21)).toString(), "hello", "the passive segment is intact");
    t.equal(Buffer.from(seen.subarray(24, 30)).toString(), "active");
  };
  await look(UNCHANGED, "as the module makes it");
  await look(UNCHANGED, "and again");
  await queryBytes(agent, id, "changeQuery");
  await queryBytes(agent, id, "changeQuery");
  await look(UNCHANGED, "after queries");
  await t.rejects(updateBytes(agent, id, "trap"), /unreachable/);
  await look(UNCHANGED, "after a trap");
  await updateBytes(agent, id, "change");
  await look(CHANGED, "only numeric globals keep an update's changes");
  await updateBytes(agent, id, "lookUpdate");
  await updateBytes(agent, id, "change");
  await look(CHANGED, "after more updates");
  await network.close();
  network = await startNetwork(t, { state });
  agent = await agentFor(network);
  await look(CHANGED, "after a restart");
});

t.test("memory added by a query or a trapped message is gone afterwards", async (t) => {
  const PAGE = [0x41, 0x80, 0x80, 4];
  const size = store(0, [0x3f, 0]);
  const grow = [...i32(1), 0x40, 0, 0x1a];
  const added = store(1, [...PAGE, 0x2d, 0, 0]);
  const write = [...PAGE, ...i32(9), 0x3a, 0, 0];
  const agent = await agentFor(await startNetwork(t));
  const id = await deploy(
    agent,
    assemble({
      imports: [
        ["msg_reply", [], []],
        ["msg_reply_data_append", [I32, I32], []],
      ],
      functions: [
        { name: "canister_query growQuery", body: [...grow, ...write, ...size, ...added, ...reply] },
        { name: "canister_update growAndTrap", body: [...grow, ...write, 0x00] },
        { name: "canister_update size", body: [...size, ...reply] },
        { name: "canister_update grow", body: [...grow, ...size, ...added, ...reply] },
      ],
    }),
  );
  const bytes = async (answer: Promise<Uint8Array>) => [...(await answer).subarray(0, 2)];
  for (let i = 0; i < 2; i++) t.same(await bytes(queryBytes(agent, id, "growQuery")), [2, 9]);
  t.same(await bytes(updateBytes(agent, id, "size")), [1, 0], "memory added by a query is gone");
  await t.rejects(updateBytes(agent, id, "growAndTrap"), /unreachable/);
  t.same(await bytes(updateBytes(agent, id, "size")), [1, 0], "memory added by a trapped update is gone");
  t.same(await bytes(updateBytes(agent, id, "grow")), [2, 0], "added memory is zero");
  t.same(await bytes(queryBytes(agent, id, "growQuery")), [3, 9]);
  t.same(await bytes(updateBytes(agent, id, "size")), [2, 0], "memory added by an update stays");
});
