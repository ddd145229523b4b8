/**
 * The main thread's handle on a canister's worker: one request at a time, each within a time limit.
 */
import type { Worker } from "node:worker_threads";
import { startWorker } from "../lib/worker.ts";
import {
  type CanisterState,
  type LoadRequest,
  type LoadResult,
  type Outcome,
  PHASE,
  type Task,
  type WorkerRequest,
} from "./message.ts";
import type { RewrittenModule } from "./wasm-binary.ts";

/** The worker has ended, or had to be ended; the canister's committed state has not changed. */
export class RuntimeEndedError extends Error {
  readonly errorCode: string;

  constructor(errorCode: string, message: string) {
    super(message);
    this.errorCode = errorCode;
  }
}

export class CanisterRuntime {
  readonly #worker: Worker;
  readonly #phase = new Int32Array(new SharedArrayBuffer(4));
  readonly #timeLimit: number;
  #pending: PromiseWithResolvers<unknown> | undefined;
  #ended: RuntimeEndedError | undefined;

  /** @param timeLimit milliseconds that one message may run */
  constructor(timeLimit: number) {
    this.#timeLimit = timeLimit;
    this.#worker = startWorker(import.meta.url, "canister-worker", {
      workerData: { phase: this.#phase.buffer },
    });
    this.#worker.on("message", (answer) => this.#pending?.resolve(answer));
    this.#worker.on("error", (error) => this.#end("IC0502", `Canister's thread failed: ${error.message}`));
    this.#worker.on("exit", () => this.#end("IC0502", "Canister's thread ended"));
  }

  /** Whether the worker has ended, so that a new runtime is needed. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** @throws Error when the module does not load */
  async load(
    module: RewrittenModule,
    state: CanisterState,
    memory: LoadRequest["memory"],
    copyOnWrite: boolean,
  ): Promise<void> {
    const result = (await this.#request({ kind: "load", module, state, memory, copyOnWrite })) as LoadResult;
    if (result.error !== undefined) throw new Error(result.error);
  }

  /** @throws RuntimeEndedError when the task ran too long or its worker failed */
  async execute(task: Task): Promise<Outcome> {
    return (await this.#request({ kind: "execute", task })) as Outcome;
  }

  async close(): Promise<void> {
    this.#end("IC0502", "Canister's thread was closed");
    await this.#worker.terminate();
  }

  async #request(request: WorkerRequest): Promise<unknown> {
    if (this.#ended !== undefined) throw this.#ended;
    this.#pending = Promise.withResolvers();
    Atomics.store(this.#phase, 0, PHASE.running);
    this.#worker.postMessage(request);
    const limit = setTimeout(() => {
      // A message that has begun to commit is allowed to finish: half a commit would be worse than a late one.
      if (Atomics.compareExchange(this.#phase, 0, PHASE.running, PHASE.condemned) !== PHASE.running) return;
      const seconds = this.#timeLimit / 1000;
      this.#end("IC0522", `Canister exceeded the limit of ${seconds} s for a single message execution`);
      void this.#worker.terminate();
    }, this.#timeLimit);
    try {
      return await this.#pending.promise;
    } finally {
      clearTimeout(limit);
      this.#pending = undefined;
    }
  }

  #end(errorCode: string, message: string): void {
    this.#ended ??= new RuntimeEndedError(errorCode, message);
    this.#pending?.reject(this.#ended);
  }
}
