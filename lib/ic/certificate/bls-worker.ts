/** The thread of bls-thread.ts: checks signatures. */
import { readlinkSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { basename } from "node:path";
import { parentPort } from "node:worker_threads";
import { verifySignature } from "./bls.ts";

/** What is to be checked, and the number of the answer. */
export interface BlsTask {
  readonly number: number;
  readonly parameters: readonly [publicKey: Uint8Array, signature: Uint8Array, message: Uint8Array];
}

export type BlsAnswer = { readonly number: number } & (
  | { readonly valid: boolean }
  | { readonly error: string }
);

// Readers have precedence for the processor. Linux has priorities for threads; if it refuses, the thread keeps its own.
try {
  setPriority(Number(basename(readlinkSync("/proc/thread-self"))), constants.priority.PRIORITY_LOW);
} catch {}

parentPort!.on("message", ({ number, parameters }: BlsTask) => {
  let answer: BlsAnswer;
  try {
    answer = { number, valid: verifySignature(...parameters) };
  } catch (error) {
    answer = { number, error: String(error) };
  }
  parentPort!.postMessage(answer);
});
