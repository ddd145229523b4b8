/**
 * Test canisters, compiled once for all test files, since each takes the compiler seconds. They are kept in build/ by a hash of
 * their sources, so that a change compiles them again.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compileMotoko } from "../../canister/compile.ts";

const BUILD = fileURLToPath(new URL("../../build/test-canisters", import.meta.url));
/** Everything besides the sources that may change the compiler's output. */
const COMPILER = [
  new URL("../../package-lock.json", import.meta.url),
  new URL("../../canister/compile.ts", import.meta.url),
];

/** The Wasm of compileMotoko(), with the same parameters. @throws Error when it does not compile */
export function compiled(...parameters: Parameters<typeof compileMotoko>): Uint8Array<ArrayBuffer> {
  const [main, libraries = [], metadata] = parameters;
  const file = join(BUILD, `${basename(main)}-${hashOf([dirname(main), ...libraries], metadata)}.wasm`);
  try {
    return Uint8Array.from(readFileSync(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const { wasm } = compileMotoko(...parameters);
  mkdirSync(BUILD, { recursive: true });
  // Two test files may compile the same canister at once.
  writeFileSync(`${file}.${process.pid}`, wasm);
  renameSync(`${file}.${process.pid}`, file);
  return Uint8Array.from(wasm);
}

function hashOf(directories: readonly string[], metadata: readonly string[] | undefined): string {
  const hash = createHash("sha256").update(JSON.stringify(metadata ?? "default"));
  for (const directory of directories) {
    for (const name of readdirSync(directory).sort()) {
      if (name.endsWith(".mo")) hash.update(`${name}\n`).update(readFileSync(join(directory, name)));
    }
  }
  for (const source of COMPILER) hash.update(readFileSync(source));
  return hash.digest("hex").slice(0, 16);
}
