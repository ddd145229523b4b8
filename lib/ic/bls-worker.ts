/** The thread of bls-thread.ts: checks signatures as @dfinity/agent does, by its own function, without loading the rest of it. */
import { parentPort } from "node:worker_threads";
import type { blsVerify } from "@dfinity/agent";

/** What is to be checked, and the number of the answer. */
export interface Task {
  readonly number: number;
  readonly parameters: readonly [publicKey: Uint8Array, signature: Uint8Array, message: Uint8Array];
}

export type Answer = { readonly number: number } & ({ readonly valid: boolean } | { readonly error: string });

const agent = import.meta.resolve("@dfinity/agent");
const check: { blsVerify: typeof blsVerify } = await import(new URL("utils/bls.js", agent).href);

parentPort!.on("message", ({ number, parameters }: Task) => {
  let answer: Answer;
  try {
    answer = { number, valid: check.blsVerify(...parameters) };
  } catch (error) {
    answer = { number, error: String(error) };
  }
  parentPort!.postMessage(answer);
});
