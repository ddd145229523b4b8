/** Compiles canisters in AssemblyScript, for tests: modules of 32-bit memory by a compiler other than Motoko's. */
import { readFileSync } from "node:fs";
import asc from "assemblyscript/asc";

/** The names of canisters' methods have a space after these words. No name in AssemblyScript can have one. */
const METHODS = /canister_(update|query|composite_query)_/g;

/**
 * Compiles a canister. Its functions called `canister_query_NAME` and so on are its methods.
 *
 * @param file ends in .as, so that no tool takes it for TypeScript
 * @throws Error with the compiler's diagnostics
 */
export async function compileAssemblyScript(file: string): Promise<Uint8Array> {
  const MAIN = "main.ts";
  let wasm: Uint8Array | undefined;
  const { error, stderr } = await asc.main(
    [MAIN, "--use", "abort=main/onAbort", "--exportTable", "--outFile", "main.wasm", "-O2"],
    {
      readFile: (name) => (name === MAIN ? readFileSync(file, "utf8") : null),
      writeFile: (_name, content) => {
        wasm = content as Uint8Array;
      },
      listFiles: () => [],
    },
  );
  if (error !== null || wasm === undefined) throw new Error(`${file}: ${stderr.toString()}`);
  // A space replaces an underscore: no length changes.
  const named = Buffer.from(wasm).toString("latin1").replace(METHODS, "canister_$1 ");
  return new Uint8Array(Buffer.from(named, "latin1"));
}
