/** The decoder for Candid of any type: it reads what the agent's encoder writes, and hostile bytes cost it nothing. */
import { IDL } from "@icp-sdk/core/candid";
import fc from "fast-check";
import t from "tap";
import {
  type CandidRecord,
  CandidVariant,
  decodeRecord,
  decodeRecords,
  decodingRecords,
} from "../../lib/ic/candid.ts";

const COMPASS = IDL.Variant({ north: IDL.Null, south: IDL.Nat });
const INNER = IDL.Record({ name: IDL.Text, sizes: IDL.Vec(IDL.Nat) });
const OUTER = IDL.Record({
  text: IDL.Text,
  nat: IDL.Nat,
  int: IDL.Int,
  nat8: IDL.Nat8,
  int64: IDL.Int64,
  flag: IDL.Bool,
  blob: IDL.Vec(IDL.Nat8),
  nothing: IDL.Null,
  maybe: IDL.Opt(IDL.Text),
  inner: IDL.Vec(INNER),
  way: COMPASS,
  pair: IDL.Tuple(IDL.Text, IDL.Nat64),
});

const nat = fc.bigInt({ min: 0n, max: 2n ** 66n });
const outer = fc.record(
  {
    text: fc.string({ unit: "grapheme" }),
    nat,
    int: fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n }),
    nat8: fc.integer({ min: 0, max: 255 }),
    int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    flag: fc.boolean(),
    blob: fc.uint8Array(),
    nothing: fc.constant(null),
    maybe: fc.oneof(
      fc.constant([]),
      fc.string().map((text) => [text]),
    ),
    inner: fc.array(fc.record({ name: fc.string(), sizes: fc.array(nat) }, { noNullPrototype: true })),
    way: fc.oneof(
      fc.constant({ north: null }),
      nat.map((south) => ({ south })),
    ),
    pair: fc.tuple(fc.string(), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  },
  // The encoder asks records for hasOwnProperty.
  { noNullPrototype: true },
);

t.test("reads what the agent's encoder writes", async (t) => {
  fc.assert(
    fc.property(outer, (value) => {
      const record = decodeRecord(new Uint8Array(IDL.encode([OUTER], [value])));
      const { way } = value;
      const found = record.get("way") as CandidVariant;
      const pair = record.get("pair") as CandidRecord;
      const read = [
        record.text("text"),
        record.get("nat"),
        record.get("int"),
        record.get("nat8"),
        record.get("int64"),
        record.get("flag"),
        record.blob("blob").toString("hex"),
        record.get("maybe"),
        record.records("inner").map((one) => [one.text("name"), one.get("sizes")]),
        found instanceof CandidVariant && found.value,
        pair.get(0),
        pair.get(1),
      ];
      const expected = [
        value.text,
        value.nat,
        value.int,
        value.nat8,
        value.int64,
        value.flag,
        Buffer.from(value.blob).toString("hex"),
        value.maybe[0],
        value.inner.map(({ name, sizes }) => [name, sizes]),
        "south" in way ? way.south : undefined,
        ...value.pair,
      ];
      t.same(read, expected);
    }),
    { numRuns: 200 },
  );
});

t.test("errors name the field that is not as expected", async (t) => {
  const bytes = new Uint8Array(IDL.encode([INNER], [{ name: "a", sizes: [2n ** 60n] }]));
  t.throws(() => decodeRecords(bytes), { message: "the reply is not a list of records" });
  t.throws(() => decodeRecord(bytes).blob("name"), { message: "field name is not a blob" });
  t.throws(() => decodeRecord(bytes).text("absent"), { message: "field absent is not a text" });
  const large = decodeRecord(new Uint8Array(IDL.encode([IDL.Record({ n: IDL.Nat })], [{ n: 2n ** 60n }])));
  t.throws(() => large.size("n"), { message: "field n is not a size" });
});

t.test("hostile bytes are refused before anything large is built", async (t) => {
  const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
  // Each with the error's message, which shows what stopped the decoder: nothing larger was built.
  const tooLong = /has 2147483647 elements in a vector$/;
  const tooMany = /has more values than bytes$/;
  const bombs: Readonly<Record<string, [bytes: string, message: RegExp]>> = {
    "a vector of 2^31 nulls": ["4449444c 01 6d7f 01 00 ffffffff07", tooLong],
    "a vector of 2^31 empty records": ["4449444c 02 6d01 6c00 01 00 ffffffff07", tooLong],
    "vectors of vectors of nulls": [
      "4449444c 03 6d01 6d02 6d7f 01 00 ffffffff07 ffffffff07 ffffffff07",
      tooLong,
    ],
    "a thousand vectors of 100,000 nulls": [
      `4449444c 02 6d01 6d7f 01 00 e807 ${"a08d06".repeat(1000)}`,
      tooMany,
    ],
    "a thousand vectors of 100,000 empty records": [
      `4449444c 03 6d01 6d02 6c00 01 00 e807 ${"a08d06".repeat(1000)}`,
      tooMany,
    ],
    "a record that holds itself": ["4449444c 01 6c01 0000 01 00", tooMany],
    "a type that is not there": ["4449444c 01 6d05 01 00 01", /has a type 5$/],
    "an opt of opts of itself": [`4449444c 01 6e00 01 00 ${"01".repeat(1_000_000)}`, /is nested too deeply$/],
    // A decoder whose time grows with the square of its length takes minutes.
    "a number without end": [`4449444c 00 01 7d ${"ff".repeat(1_000_000)}`, /ends too early$/],
    "a million types": ["4449444c c0843d", /has 1000000 types$/],
    "a text longer than the message": ["4449444c 00 01 71 ffffffff07 61", /ends too early$/],
  };
  for (const [name, [bytes, message]] of Object.entries(bombs))
    t.throws(() => decodeRecord(hex(bytes)), { name: "FormatError", message }, name);
});

t.test("a list is decoded in small steps, however its values are nested", async (t) => {
  const BUSHY = IDL.Vec(IDL.Record({ key: IDL.Text, encodings: IDL.Vec(IDL.Record({ n: IDL.Nat8 })) }));
  const list = (elements: number, encodings: number) => {
    const element = { key: "k", encodings: Array.from({ length: encodings }, () => ({ n: 1 })) };
    return new Uint8Array(IDL.encode([BUSHY], [Array.from({ length: elements }, () => element)]));
  };
  const turns = (message: Uint8Array) => {
    let yields = 0;
    for (const _ of decodingRecords(message)) yields += 1;
    return yields;
  };
  t.equal(turns(list(10, 10)), 0);
  // 400,000 values.
  t.ok(turns(list(100, 2000)) >= 99);
  t.ok(turns(list(40_000, 4)) >= 190);
  t.throws(() => turns(list(1, 6000)), /more than 10000 values/);
  t.throws(() => turns(list(600, 1000)), /more than 1000000 values/);
});
