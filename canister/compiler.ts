/**
 * The thread on which compile.ts runs the Motoko compiler, which needs more stack for the canister than V8 gives a main thread.
 */
import { createRequire } from "node:module";
import { type MessagePort, workerData } from "node:worker_threads";
import type motokoModule from "motoko";

export interface Job {
  /** The main file's name. */
  readonly entry: string;
  /** The sources by their names: the compiler has its own file system, with one flat directory. */
  readonly sources: ReadonlyMap<string, string>;
  /** The custom sections that anyone can read. */
  readonly metadata: readonly string[];
  /** Whether to make the service description, too, which takes as long as checking the sources. */
  readonly withCandid: boolean;
  /** Where the result goes. */
  readonly port: MessagePort;
  /** Woken when it is there. */
  readonly done: Int32Array;
}

/** The errors in the sources, one per line; or the compiled module. */
export type Outcome =
  | { readonly problems: string }
  | { readonly wasm: Uint8Array; readonly candid: string | undefined };

function compile({ entry, sources, metadata, withCandid }: Job): Outcome {
  const require = createRequire(import.meta.url);
  const motoko = (require("motoko") as { default?: typeof motokoModule }).default ?? require("motoko");
  motoko.loadPackage(require("motoko/packages/latest/core.json"));
  motoko.setPublicMetadata([...metadata]);
  for (const [name, source] of sources) motoko.write(name, source);
  let wasm: Uint8Array;
  try {
    wasm = motoko.wasm(entry, "ic").wasm;
  } catch (error) {
    // The message has no position.
    const problems = motoko.check(entry).filter((found: { severity: number }) => found.severity === 1);
    if (problems.length === 0) throw error;
    const lines = problems.map(
      (found: { source: string; range: { start: { line: number } }; message: string }) =>
        `${found.source}:${found.range.start.line + 1}: ${found.message}`,
    );
    return { problems: lines.join("\n") };
  }
  return { wasm, candid: withCandid ? motoko.candid(entry) : undefined };
}

const job = workerData as Job;
let outcome: Outcome;
try {
  outcome = compile(job);
} catch (error) {
  outcome = { problems: error instanceof Error ? error.message : String(error) };
}
job.port.postMessage(outcome);
Atomics.store(job.done, 0, 1);
Atomics.notify(job.done, 0);
