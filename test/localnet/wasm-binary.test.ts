import { gzipSync } from "node:zlib";
import t from "tap";
import {
  MAX_MODULE_BYTES,
  MEMORY_EXPORT,
  rewriteModule,
  START_EXPORT,
  TABLE_EXPORT,
  unpackModule,
} from "../../localnet/wasm-binary.ts";
import { InvalidModuleError, leb128 } from "../../localnet/wasm-reader.ts";
import { assemble, I32, I64 } from "./assemble.ts";

const store = [0x41, 0, 0x41, 5, 0x3a, 0, 0]; // memory[0] = 5
const addToGlobal = [0x23, 0, 0x41, 1, 0x6a, 0x24, 0];

t.test("a module gets the exports needed for saving and restoring it", async (t) => {
  const bytes = assemble({
    imports: [["time", [I32], [I64]]],
    globals: [3, 4],
    start: 1,
    element: 2,
    custom: [
      ["icp:public a b", "shown"],
      ["icp:private c", "hidden"],
      ["other", "no metadata"],
    ],
    functions: [{ body: store }, { name: "canister_update x", body: addToGlobal }],
  });
  const module = rewriteModule(bytes);
  t.same(module.functionImports, [{ module: "ic0", name: "time", parameters: ["i32"], results: ["i64"] }]);
  t.same(module.functionExports, ["canister_update x"]);
  t.equal(module.hasStart, true);
  t.equal(module.memory64, false);
  t.equal(module.table64, false);
  t.same([...module.metadata.keys()], ["a b", "c"]);
  t.equal(module.metadata.get("a b")?.isPublic, true);
  t.equal(Buffer.from(module.metadata.get("c")!.content).toString(), "hidden");
  t.equal(module.metadata.get("c")?.isPublic, false);

  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.binary), {
    ic0: { time: () => 0n },
  });
  const exports = instance.exports as Record<string, WebAssembly.ExportValue>;
  const memory = exports[MEMORY_EXPORT] as WebAssembly.Memory;
  t.equal(new Uint8Array(memory.buffer)[0], 0, "the start function has not run");
  (exports[START_EXPORT] as () => void)();
  t.equal(new Uint8Array(memory.buffer)[0], 5);
  const globals = module.globalExports.map((name) => exports[name] as WebAssembly.Global);
  t.same(
    globals.map((global) => global.value),
    [3, 4],
  );
  (exports["canister_update x"] as () => void)();
  t.equal(globals[0]!.value, 4);
  const table = exports[TABLE_EXPORT] as WebAssembly.Table;
  (table.get(0) as () => void)();
  t.equal(globals[0]!.value, 5);
});

t.test("bytes that are not a module are refused", async (t) => {
  t.throws(() => rewriteModule(Buffer.from("not wasm")), InvalidModuleError);
  t.throws(() => rewriteModule(new Uint8Array()), InvalidModuleError);
  const bytes = assemble({ imports: [], functions: [{ name: "f", body: [] }] });
  for (const end of [9, 12, bytes.length - 1]) {
    t.throws(() => rewriteModule(bytes.subarray(0, end)), InvalidModuleError, `cut at ${end}`);
  }
});

t.test("modules with features that canisters cannot have are refused, with the reason", async (t) => {
  const refused: [section: Record<number, number[]>, reason: RegExp][] = [
    [{ 5: [2, 0, 1, 0, 1] }, /more than one memory/],
    [{ 5: [1, 3, 1, 1] }, /memory that threads share/],
    [{ 2: [1, 3, 0x65, 0x6e, 0x76, 1, 0x6d, 2, 0, 1] }, /import env\.m is not a function/],
    [{ 6: [1, 0x7b, 1, 0xfd, 12, ...new Array<number>(16).fill(0), 0x0b] }, /global of type v128/],
  ];
  for (const [sections, message] of refused) {
    const bytes = assemble({ imports: [], functions: [{ name: "f", body: [] }], sections });
    t.throws(() => rewriteModule(bytes), { name: "InvalidModuleError", message });
  }
});

t.test("compressed modules are unpacked", async (t) => {
  const bytes = assemble({ imports: [], functions: [] });
  t.same(unpackModule(gzipSync(bytes)), bytes);
  t.equal(unpackModule(bytes), bytes);
  t.throws(() => unpackModule(Uint8Array.of(0x1f, 0x8b, 1, 2, 3)), InvalidModuleError);
  t.equal(unpackModule(gzipSync(new Uint8Array(MAX_MODULE_BYTES))).length, MAX_MODULE_BYTES);
  const bomb = gzipSync(new Uint8Array(MAX_MODULE_BYTES + 1));
  t.ok(bomb.length < 200_000);
  t.throws(
    () => unpackModule(bomb),
    InvalidModuleError,
    "a small module that becomes too large when unpacked",
  );
});

t.test("LEB128", async (t) => {
  t.same(leb128(0), [0]);
  t.same(leb128(127), [0x7f]);
  t.same(leb128(128), [0x80, 1]);
  t.same(leb128(624485n), [0xe5, 0x8e, 0x26]);
});
