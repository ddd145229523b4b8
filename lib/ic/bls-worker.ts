/** The thread of bls-thread.ts: checks signatures as @dfinity/agent does, by its own function, without loading the rest of it. */
import { readlinkSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { basename } from "node:path";
import { parentPort } from "node:worker_threads";
import type { blsVerify } from "@icp-sdk/core/agent";
import "./bls-generator.ts";

/** What is to be checked, and the number of the answer. */
export interface BlsTask {
  readonly number: number;
  readonly parameters: readonly [publicKey: Uint8Array, signature: Uint8Array, message: Uint8Array];
}

export type BlsAnswer = { readonly number: number } & (
  | { readonly valid: boolean }
  | { readonly error: string }
);

// Nobody waits for it, and readers may for the processor. Linux has priorities for threads; where it gives none, it goes on.
try {
  setPriority(Number(basename(readlinkSync("/proc/thread-self"))), constants.priority.PRIORITY_LOW);
} catch {}

const agent = import.meta.resolve("@icp-sdk/core/agent");
const check: { blsVerify: typeof blsVerify } = await import(new URL("utils/bls.js", agent).href);

parentPort!.on("message", ({ number, parameters }: BlsTask) => {
  let answer: BlsAnswer;
  try {
    answer = { number, valid: check.blsVerify(...parameters) };
  } catch (error) {
    answer = { number, error: String(error) };
  }
  parentPort!.postMessage(answer);
});
