/**
 * Compiles a Motoko canister, offline: the compiler is the npm package `motoko`, its `mo:core` comes in the same
 * package, and `ic-wasm` shrinks the result.
 *
 *     node canister/compile.ts MAIN.mo OUT.wasm     writes OUT.wasm and OUT.did
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { Job, Outcome } from "./compiler.ts";

const shrinkTool = fileURLToPath(
  new URL("../node_modules/@icp-sdk/ic-wasm-linux-x64/bin/ic-wasm", import.meta.url),
);

/** What package.json has, for a canister to say: sources have it as `Version.icfs`. */
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

export interface CompiledCanister {
  wasm: Uint8Array;
  /** The service description in Candid's textual form, if it was requested. */
  candid: string | undefined;
}

/** The compiler's stack, in MiB. The canister needs nearly 1, the whole stack of a main thread. */
const STACK_MB = 16;
/** Milliseconds after which the compiler has failed. It takes about 20 seconds, and many times that on a busy machine. */
const TIME_LIMIT = 1_500_000;

/** The public custom sections. Without them the Candid stays private, and clients cannot ask the canister for it. */
const CANDID = ["candid:service", "candid:args"];

/**
 * Compiles the actor in `main`; imports are looked up among the .mo files of its directory and of `libraries`, and in
 * `mo:core`.
 *
 * @param metadata the custom sections that anyone can read
 * @param withCandid whether to make the service description, which takes a while
 * @throws Error with the compiler's diagnostics, one per line (`file:line: message`).
 */
export function compileMotoko(
  main: string,
  libraries: readonly string[] = [],
  metadata: readonly string[] = CANDID,
  withCandid = false,
): CompiledCanister {
  const sources = new Map<string, string>();
  for (const directory of [...libraries, dirname(resolve(main))]) {
    for (const name of readdirSync(directory)) {
      if (name.endsWith(".mo")) sources.set(name, readFileSync(join(directory, name), "utf8"));
    }
  }
  sources.set("version.mo", `module { public let icfs = "${version}" };\n`);
  const { port1, port2 } = new MessageChannel();
  const done = new Int32Array(new SharedArrayBuffer(4));
  const workerData: Job = { entry: basename(main), sources, metadata, withCandid, port: port2, done };
  const worker = new Worker(new URL("compiler.ts", import.meta.url), {
    workerData,
    transferList: [port2],
    resourceLimits: { stackSizeMb: STACK_MB },
  });
  Atomics.wait(done, 0, 0, TIME_LIMIT);
  const outcome = receiveMessageOnPort(port1)?.message as Outcome | undefined;
  worker.unref();
  port1.close();
  if (outcome === undefined) throw new Error(`${main}: the compiler has not come to an end`);
  if ("problems" in outcome) throw new Error(outcome.problems);
  return outcome;
}

if (import.meta.main) {
  const [main, out] = process.argv.slice(2);
  if (main === undefined || out === undefined) {
    console.error("usage: node canister/compile.ts MAIN.mo OUT.wasm");
    process.exit(2);
  }
  let compiled: CompiledCanister;
  try {
    compiled = compileMotoko(main, [], CANDID, true);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
  const { wasm, candid } = compiled;
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, wasm);
  execFileSync(shrinkTool, [out, "-o", out, "shrink"]);
  writeFileSync(out.replace(/\.wasm$/, ".did"), candid!);
  console.log(`${out}: ${wasm.length} bytes compiled, ${readFileSync(out).length} after shrinking`);
}
