import { Cbor } from "@icp-sdk/core/agent";
import fc from "fast-check";
import t from "tap";
import { CborReader, checkCbor } from "../../../lib/ic/certificate/cbor-reader.ts";

/** The length of the tag that the agent puts before everything. */
const SELF_DESCRIBING_TAG = 3;

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

t.test("reads what the agent's encoder writes", async (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (values) => {
      const encoded = Cbor.encode(values).slice(SELF_DESCRIBING_TAG);
      checkCbor(encoded);
      const reader = new CborReader(encoded);
      if (reader.array() !== values.length) throw new Error("another length");
      for (const value of values) if (!reader.bytes().equals(value)) throw new Error("other bytes");
      reader.end();
    }),
  );
  const reader = new CborReader(hex("83 18ff 190100 1a00010000"));
  t.equal(reader.array(), 3);
  t.same([reader.unsigned(), reader.unsigned(), reader.unsigned()], [255, 256, 65_536]);
  const map = new CborReader(Cbor.encode({ größe: new Uint8Array([1]) }).slice(SELF_DESCRIBING_TAG));
  t.equal(map.map(), 1);
  t.equal(map.text(), "größe");
  t.same(map.bytes(), Buffer.from([1]));
});

t.test("a view into a larger buffer is read within its bounds", async (t) => {
  const reader = new CborReader(hex("00 43 010203 00").subarray(1, 5));
  t.same(reader.bytes(), Buffer.from([1, 2, 3]));
  reader.end();
});

t.test("hostile bytes end in a FormatError, at once", async (t) => {
  const cases: Record<string, [bytes: string, read: (reader: CborReader) => unknown]> = {
    nothing: ["", (reader) => reader.head()],
    "a head cut off": ["19 01", (reader) => reader.head()],
    "a head of 8 bytes cut off": ["1b 00000000000000", (reader) => reader.head()],
    "a string longer than the rest": ["43 0102", (reader) => reader.bytes()],
    "a string of 2^64 - 1 bytes": ["5b ffffffffffffffff 00", (reader) => reader.bytes()],
    "a text of 4 GiB": ["7a ffffffff 61", (reader) => reader.text()],
    "an array of 2^64 - 1 elements": ["9b ffffffffffffffff", (reader) => reader.array()],
    "an array of more elements than bytes": ["83 0000", (reader) => reader.array()],
    "indefinite bytes": ["5f 41 01 ff", (reader) => reader.bytes()],
    "an indefinite array": ["9f 01 ff", (reader) => reader.array()],
    "a reserved length": ["1c", (reader) => reader.unsigned()],
    "text where bytes belong": ["61 61", (reader) => reader.bytes()],
    "a negative number": ["20", (reader) => reader.unsigned()],
    "something that nobody asked for": ["00", (reader) => reader.end()],
  };
  for (const [name, [bytes, read]] of Object.entries(cases)) {
    t.throws(() => read(new CborReader(hex(bytes))), { name: "FormatError" }, name);
  }
});

t.test("checkCbor accepts whatever the agent's encoder writes", async (t) => {
  const { tree: value } = fc.letrec((tie) => ({
    leaf: fc.oneof(fc.string(), fc.uint8Array(), fc.nat(), fc.boolean(), fc.constant(null)),
    tree: fc.oneof(
      { depthSize: "small" },
      tie("leaf"),
      fc.array(tie("tree"), { maxLength: 4 }),
      fc.dictionary(fc.string(), tie("tree"), { maxKeys: 4, noNullPrototype: true }),
    ),
  }));
  const passes = fc.property(value, (value) => checkCbor(Cbor.encode(value as never)));
  t.doesNotThrow(() => fc.assert(passes));
});

t.test("checkCbor refuses data that a decoder could choke on", async (t) => {
  const cases: Record<string, Buffer> = {
    nothing: Buffer.alloc(0),
    "bytes behind it": hex("00 00"),
    "an array cut off": hex("82 00"),
    "a map cut off": hex("a1 00"),
    "a map of 2^64 - 1 pairs": hex("bb ffffffffffffffff 00 00"),
    "an array of 2^64 - 1 elements": hex("9b ffffffffffffffff 00"),
    "a string cut off": hex("45 0000"),
    "a tag without its item": hex("d9 d9f7"),
    "indefinite length": hex("9f ff"),
    "a lone break": hex("ff"),
    "a float": hex("fb 3ff0000000000000"),
    "201 arrays in one another": Buffer.concat([Buffer.alloc(201, 0x81), hex("00")]),
    "a million arrays in one another": Buffer.alloc(1_000_000, 0x81),
    "a million elements side by side": Buffer.concat([hex("9a 000f4240"), Buffer.alloc(1_000_000)]),
    "a million tags in one another": Buffer.alloc(1_000_000, 0xc0),
  };
  for (const [name, bytes] of Object.entries(cases))
    t.throws(() => checkCbor(bytes), { name: "FormatError" }, name);
  const goodOnes = {
    "150 arrays in one another": Buffer.concat([Buffer.alloc(150, 0x81), hex("00")]),
    "forty thousand elements side by side": Buffer.concat([hex("99 9c40"), Buffer.alloc(40_000)]),
  };
  for (const [name, bytes] of Object.entries(goodOnes)) t.doesNotThrow(() => checkCbor(bytes), name);
});

t.test("random bytes throw nothing but FormatError", async (t) => {
  const nothingElse = fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
    try {
      checkCbor(bytes);
    } catch (error) {
      if ((error as Error).name !== "FormatError") throw error;
    }
  });
  t.doesNotThrow(() => fc.assert(nothingElse, { numRuns: 2000 }));
});
