import t from "tap";
import { MEMORY_EXPORT, NOTES_EXPORT, rewriteModule } from "../../localnet/wasm-binary.ts";
import { leb128 } from "../../localnet/wasm-reader.ts";
import { SIZE_AT } from "../../localnet/write-tracking.ts";
import { assemble } from "./assemble.ts";

const PAGE = 65536;
const i32 = (value: number): number[] => [0x41, ...signed(value)];

function signed(value: number): number[] {
  const bytes: number[] = [];
  for (let left = value; ; left >>= 7) {
    const low = left & 0x7f;
    if ((left >> 7 === 0 && low < 0x40) || (left >> 7 === -1 && low >= 0x40)) return [...bytes, low];
    bytes.push(low | 0x80);
  }
}

const VALUES: Record<string, number[]> = {
  i32: i32(-2),
  i64: [0x42, 0x7e],
  f32: [0x43, 1, 2, 3, 4],
  f64: [0x44, 1, 2, 3, 4, 5, 6, 7, 8],
};
const STORES: [opcode: number, type: string][] = [
  [0x36, "i32"],
  [0x37, "i64"],
  [0x38, "f32"],
  [0x39, "f64"],
  [0x3a, "i32"],
  [0x3b, "i32"],
  [0x3c, "i64"],
  [0x3d, "i64"],
  [0x3e, "i64"],
];
const store = (opcode: number, type: string, address: number, offset: number): number[] => [
  ...i32(address),
  ...VALUES[type]!,
  ...[opcode, 0, ...leb128(offset)],
];
const grow = [...i32(5), 0x40, 0, 0x1a];

/** Tells a module how many pages its memory has. */
function believe(exports: WebAssembly.Instance["exports"], pages: number): void {
  new Uint32Array((exports[NOTES_EXPORT] as WebAssembly.Memory).buffer, SIZE_AT)[0] = pages;
}

/** Runs a function that writes; returns the memory and the pages that were noted. */
function run(body: number[]): { memory: Uint8Array; noted: number[] } {
  const module = rewriteModule(
    assemble({
      imports: [],
      functions: [
        { name: "grow", body: grow },
        { name: "write", body },
      ],
    }),
  );
  t.equal(module.tracksWrites, true);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.binary), {});
  believe(exports, 1);
  (exports.grow as () => void)();
  (exports.write as () => void)();
  const notes = new Uint8Array((exports[NOTES_EXPORT] as WebAssembly.Memory).buffer);
  return {
    memory: new Uint8Array((exports[MEMORY_EXPORT] as WebAssembly.Memory).buffer),
    noted: Array.from({ length: 6 }, (_, page) => page).filter((page) => notes[page] === 1),
  };
}

/** The memory after the function has run in the unchanged module. */
function reference(body: number[]): Uint8Array {
  const bytes = assemble({ imports: [], functions: [{ name: "write", body: [...grow, ...body] }] });
  // The memory is not exported: an export is added, and the code stays as it is.
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(withMemoryExport(bytes)), {});
  (exports.write as () => void)();
  return new Uint8Array((exports.m as WebAssembly.Memory).buffer);
}

/** Adds an export of the memory, named m, to the assembler's export section, which has one entry, `write`. */
function withMemoryExport(bytes: Uint8Array): Uint8Array {
  const at = Buffer.from(bytes).indexOf(Buffer.from([7, 9, 1, 5]));
  const end = at + 2 + 9;
  return Uint8Array.from([
    ...bytes.subarray(0, at),
    7,
    13,
    2,
    ...bytes.subarray(at + 3, end),
    1,
    0x6d,
    2,
    0,
    ...bytes.subarray(end),
  ]);
}

t.test("every store works as before, and its page is noted", async (t) => {
  for (const [opcode, type] of STORES) {
    for (const [address, offset] of [
      [3, 0],
      [PAGE, 7],
      [2, 4 * PAGE],
      [3 * PAGE - 1, 0],
      [100, 200],
    ] as const) {
      const body = store(opcode, type, address, offset);
      const { memory, noted } = run(body);
      t.equal(Buffer.compare(memory, reference(body)), 0, `${opcode.toString(16)} at ${address} + ${offset}`);
      t.same(noted, [Math.floor((address + offset) / PAGE)]);
    }
  }
});

t.test("memory.fill and memory.copy", async (t) => {
  const fill = [...i32(PAGE + 5), ...i32(77), ...i32(2 * PAGE), 0xfc, 11, 0];
  const filled = run(fill);
  t.equal(Buffer.compare(filled.memory, reference(fill)), 0);
  t.same(filled.noted, [1, 2, 3]);
  const copy = [...fill, ...i32(4 * PAGE + 100), ...i32(PAGE), ...i32(1000), 0xfc, 10, 0, 0];
  const copied = run(copy);
  t.equal(Buffer.compare(copied.memory, reference(copy)), 0);
  t.same(copied.noted, [1, 2, 3, 4]);
});

t.test("stores inside control flow, between other instructions", async (t) => {
  const body = [
    ...[0x02, 0x40, 0x03, 0x40], // block, loop
    ...[
      ...i32(1),
      0x04,
      0x40,
      ...store(0x36, "i32", PAGE, 0),
      0x05,
      ...store(0x36, "i32", 2 * PAGE, 0),
      0x0b,
    ],
    ...[...i32(1), 0x0e, 1, 0, 1], // br_table: 1 is the default
    ...[0x0b, 0x0b],
    ...[...i32(16), 0x28, 2, 0, 0x1a], // a load
    ...store(0x3a, "i32", 4 * PAGE, 0),
  ];
  const { memory, noted } = run(body);
  t.equal(Buffer.compare(memory, reference(body)), 0);
  t.same(noted, [1, 4]);
});

t.test("a store outside the memory still traps", async (t) => {
  for (const address of [6 * PAGE, -1, -8]) {
    t.throws(() => run(store(0x37, "i64", address, 0)), WebAssembly.RuntimeError);
    t.throws(() => run(store(0x37, "i64", address, 16)), WebAssembly.RuntimeError);
  }
});

t.test("SIMD stores of vectors and their lanes", async (t) => {
  const vector = [0xfd, 12, ...Array.from({ length: 16 }, (_, index) => index + 1)];
  const stores: [kind: number, lane: number[]][] = [
    [11, []],
    [88, [15]],
    [89, [7]],
    [90, [3]],
    [91, [1]],
  ];
  for (const [kind, lane] of stores) {
    const body = [...i32(PAGE), ...vector, 0xfd, kind, 0, ...leb128(2 * PAGE + 3), ...lane];
    const { memory, noted } = run(body);
    t.equal(Buffer.compare(memory, reference(body)), 0, `0xfd ${kind}`);
    t.same(noted, [3]);
  }
});

t.test("a module whose writes cannot be tracked stays as it is", async (t) => {
  const fence = [0xfe, 3, 0]; // atomic.fence
  const module = rewriteModule(assemble({ imports: [], functions: [{ name: "write", body: fence }] }));
  t.equal(module.tracksWrites, false);
  t.equal(module.isReusable, false);
  t.ok(new WebAssembly.Module(module.binary));
});

t.test("the memory has the size that the module is told, and grows from there", async (t) => {
  // Each function stores what it is told at address 0.
  const sizes = (is64: boolean) => {
    const [constant, stored] = is64 ? [0x42, 0x37] : [0x41, 0x36];
    const address = [constant, 0];
    const kept = [stored, 0, 0];
    const module = rewriteModule(
      assemble({
        imports: [],
        functions: [
          { name: "size", body: [...address, 0x3f, 0, ...kept] },
          { name: "grow", body: [...address, constant, 3, 0x40, 0, ...kept] },
          { name: "growTooMuch", body: [...address, constant, ...signed(1000), 0x40, 0, ...kept] },
        ],
        sections: { 5: [1, is64 ? 5 : 1, 1, 10] },
      }),
    );
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.binary), {});
    const memory = exports[MEMORY_EXPORT] as WebAssembly.Memory;
    const call = (name: string) => {
      (exports[name] as () => void)();
      const view = new DataView(memory.buffer);
      return is64 ? Number(view.getBigInt64(0, true)) : view.getInt32(0, true);
    };
    return { call, exports, actual: () => memory.buffer.byteLength / PAGE };
  };
  for (const is64 of [false, true]) {
    const { call, exports, actual } = sizes(is64);
    believe(exports, 1);
    t.equal(call("size"), 1);
    t.equal(call("grow"), 1);
    t.equal(call("size"), 4);
    t.equal(actual(), 4);
    believe(exports, 2);
    t.equal(call("size"), 2);
    t.equal(call("grow"), 2, "two of the three pages exist already");
    t.equal(call("size"), 5);
    t.equal(actual(), 5);
    believe(exports, 1);
    t.equal(call("grow"), 1, "all three pages exist already");
    t.equal(call("size"), 4);
    t.equal(actual(), 5);
    t.equal(call("growTooMuch"), -1);
    t.equal(call("size"), 4);
  }
});

t.test("instances are reusable if the code changes only memory and numbers", async (t) => {
  const isReusable = (body: number[]) =>
    rewriteModule(
      assemble({
        imports: [],
        functions: [{ body }],
        element: 0,
        sections: { 11: [1, 1, 0], 12: [1] },
      }),
    ).isReusable;
  t.equal(isReusable([...store(0x36, "i32", 0, 0), ...grow]), true);
  const changes: Record<string, number[]> = {
    "table.set": [...i32(0), 0xd0, 0x70, 0x26, 0],
    "data.drop": [0xfc, 9, 0],
    "elem.drop": [0xfc, 13, 0],
    "table.init": [...i32(0), ...i32(0), ...i32(0), 0xfc, 12, 0, 0],
    "table.copy": [...i32(0), ...i32(0), ...i32(0), 0xfc, 14, 0, 0],
    "table.grow": [0xd0, 0x70, ...i32(0), 0xfc, 15, 0, 0x1a],
    "table.fill": [...i32(0), 0xd0, 0x70, ...i32(0), 0xfc, 17, 0],
  };
  for (const [name, body] of Object.entries(changes)) t.equal(isReusable(body), false, name);
});
