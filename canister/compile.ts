/**
 * Compiles a Motoko canister, offline: the compiler is the npm package `motoko`, its `mo:core` comes in the same
 * package, and `ic-wasm` shrinks the result.
 *
 *     node canister/compile.ts MAIN.mo OUT.wasm     writes OUT.wasm and OUT.did
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type motokoModule from "motoko";

const require = createRequire(import.meta.url);
const shrinkTool = fileURLToPath(
  new URL("../node_modules/@icp-sdk/ic-wasm-linux-x64/bin/ic-wasm", import.meta.url),
);

export interface CompiledCanister {
  wasm: Uint8Array;
  /** The service description in Candid's textual form. */
  candid: string;
}

/** Which custom sections are public. Without them the Candid stays private, and clients cannot ask the canister for it. */
const CANDID = ["candid:service", "candid:args"];

/**
 * Compiles the actor in `main`; imports are looked up among the .mo files of its directory and of `libraries`, and in
 * `mo:core`.
 *
 * @param metadata the custom sections that anyone may read
 * @throws Error with the compiler's diagnostics, one a line (`file:line: message`).
 */
export function compileMotoko(
  main: string,
  libraries: readonly string[] = [],
  metadata: readonly string[] = CANDID,
): CompiledCanister {
  const motoko = (require("motoko") as { default?: typeof motokoModule }).default ?? require("motoko");
  motoko.clearPackages();
  motoko.loadPackage(require("motoko/packages/latest/core.json"));
  motoko.setPublicMetadata([...metadata]);
  // The compiler has a file system of its own, and sees one flat directory.
  for (const directory of [...libraries, dirname(resolve(main))]) {
    for (const name of readdirSync(directory)) {
      if (name.endsWith(".mo")) motoko.write(name, readFileSync(join(directory, name), "utf8"));
    }
  }
  const entry = basename(main);
  const problems = motoko.check(entry).filter((found: { severity: number }) => found.severity === 1);
  if (problems.length > 0) {
    throw new Error(
      problems
        .map((found: { source: string; range: { start: { line: number } }; message: string }) => {
          return `${found.source}:${found.range.start.line + 1}: ${found.message}`;
        })
        .join("\n"),
    );
  }
  return { wasm: motoko.wasm(entry, "ic").wasm, candid: motoko.candid(entry) };
}

if (import.meta.main) {
  const [main, out] = process.argv.slice(2);
  if (main === undefined || out === undefined) {
    console.error("usage: node canister/compile.ts MAIN.mo OUT.wasm");
    process.exit(2);
  }
  let compiled: CompiledCanister;
  try {
    compiled = compileMotoko(main);
  } catch (error) {
    // Not the stack: Node would print the compiler's one line of 2.6 MB with it.
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
  const { wasm, candid } = compiled;
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, wasm);
  execFileSync(shrinkTool, [out, "-o", out, "shrink"]);
  writeFileSync(out.replace(/\.wasm$/, ".did"), candid);
  console.log(`${out}: ${wasm.length} bytes compiled, ${readFileSync(out).length} after shrinking`);
}
