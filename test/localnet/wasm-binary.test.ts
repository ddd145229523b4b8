import { gzipSync } from "node:zlib";
import t from "tap";
import {
  MEMORY_EXPORT,
  rewriteModule,
  START_EXPORT,
  TABLE_EXPORT,
  unpackModule,
} from "../../lib/localnet/wasm-binary.ts";
import { InvalidModuleError, leb128 } from "../../lib/localnet/wasm-reader.ts";
import { assemble, I32, I64 } from "./assemble.ts";

const store = [0x41, 0, 0x41, 5, 0x3a, 0, 0]; // memory[0] = 5
const addToGlobal = [0x23, 0, 0x41, 1, 0x6a, 0x24, 0];

t.test("a module is given the exports that saving and restoring it need", async (t) => {
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

t.test("what is no module is refused", async (t) => {
  t.throws(() => rewriteModule(Buffer.from("not wasm")), InvalidModuleError);
  t.throws(() => rewriteModule(new Uint8Array()), InvalidModuleError);
  const bytes = assemble({ imports: [], functions: [{ name: "f", body: [] }] });
  for (const end of [9, 12, bytes.length - 1]) {
    t.throws(() => rewriteModule(bytes.subarray(0, end)), InvalidModuleError, `cut at ${end}`);
  }
});

t.test("compressed modules are unpacked", async (t) => {
  const bytes = assemble({ imports: [], functions: [] });
  t.same(unpackModule(gzipSync(bytes)), bytes);
  t.equal(unpackModule(bytes), bytes);
  t.throws(() => unpackModule(Uint8Array.of(0x1f, 0x8b, 1, 2, 3)), InvalidModuleError);
});

t.test("LEB128", async (t) => {
  t.same(leb128(0), [0]);
  t.same(leb128(127), [0x7f]);
  t.same(leb128(128), [0x80, 1]);
  t.same(leb128(624485n), [0xe5, 0x8e, 0x26]);
});
