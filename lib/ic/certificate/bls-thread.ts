/**
 * Checks BLS signatures on another thread: a check takes 25 ms and more, during which a process that serves a mount would answer
 * nobody. The thread takes half a second to start, and about 30 MiB.
 */
import type { Worker } from "node:worker_threads";
import { startWorker } from "../../worker.ts";
import type { BlsAnswer, BlsTask } from "./bls-worker.ts";
import type { BlsVerify } from "./valid-signatures.ts";

export class BlsThread {
  #worker: Worker | undefined;
  #last = 0;
  readonly #waiting = new Map<number, PromiseWithResolvers<boolean>>();

  /** Whether the signature is valid. @throws Error when it is not a signature at all, or the thread does not start */
  readonly verify: BlsVerify = (...parameters) => {
    const worker = this.start();
    this.#last += 1;
    const answer = Promise.withResolvers<boolean>();
    this.#waiting.set(this.#last, answer);
    const task: BlsTask = { number: this.#last, parameters };
    worker.postMessage(task);
    return answer.promise;
  };

  /** Starts the thread if necessary. A mount does so early, before an upgrade can replace the program's files. */
  start(): Worker {
    this.#worker ??= this.#started();
    return this.#worker;
  }

  #started(): Worker {
    const worker = startWorker(import.meta.url, "bls-worker");
    worker.on("message", (answer: BlsAnswer) => {
      const waiting = this.#waiting.get(answer.number);
      this.#waiting.delete(answer.number);
      if ("error" in answer) waiting?.reject(new Error(answer.error));
      else waiting?.resolve(answer.valid);
    });
    const ended = (why: Error) => {
      this.#worker = undefined;
      for (const { reject } of this.#waiting.values()) reject(why);
      this.#waiting.clear();
    };
    worker.on("error", ended);
    worker.on("exit", () => ended(new Error("the thread that checks signatures has ended")));
    // The mount keeps the process alive, not this thread.
    worker.unref();
    return worker;
  }
}
