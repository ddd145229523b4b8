/**
 * One canister: its state, and the queue in which its messages run one after the other.
 *
 * A message that calls other canisters ends with the calls; their answers are separate messages, which belong to
 * the same call context. The effects of a message without a trap stay, even if its callbacks trap.
 */
import { Principal } from "@icp-sdk/core/principal";
import { Account, FREEZING_THRESHOLD_S } from "./account.ts";
import { answerOf, MAX_QUERY_REPLY, MAX_UPDATE_REPLY } from "./answer.ts";
import { type CallContext, contextFor } from "./call-context.ts";
import type { Adoption, CanisterHost } from "./canister-host.ts";
import { applyDelta, type InstalledModule } from "./canister-state.ts";
import { ALL_GONE, type KeptCanister, NO_CHANGE, type SavedCanister } from "./canister-store.ts";
import type { RangesShown } from "./certification.ts";
import { ChunkStore } from "./chunk-store.ts";
import { Keeper } from "./keeper.ts";
import {
  type CanisterState,
  type Environment,
  NO_OUTCOME,
  type Outcome,
  type OutgoingCall,
  TASK_DEFAULTS,
  type Task,
  type Variable,
} from "./message.ts";
import { executionCost } from "./prices.ts";
import { REJECT_CODE, RejectError, type Response, rejectOf } from "./response.ts";
import { type CanisterRuntime, RuntimeEndedError } from "./runtime.ts";
import { STABLE_PAGE } from "./stable-memory.ts";
import { CanisterTimers } from "./timers.ts";

export type Status = "running" | "stopping" | "stopped";
const STATUS_NUMBER: Record<Status, number> = { running: 1, stopping: 2, stopped: 3 };
const MANAGEMENT_CANISTER = new Uint8Array();
const EMPTY = new Uint8Array();

export class Canister {
  readonly id: Uint8Array;
  /** The id as text. */
  readonly text: string;
  controllers: Uint8Array[];
  status: Status = "running";
  variables: Variable[] = [];
  readonly account: Account;
  version = 0n;
  certifiedData: Uint8Array = EMPTY;
  module: InstalledModule | undefined;
  state: CanisterState | undefined;
  readonly chunks = new ChunkStore();
  readonly #host: CanisterHost;
  #runtime: CanisterRuntime | undefined;
  /** Resolves when every message queued so far has run. */
  #queue: Promise<unknown> = Promise.resolve();
  readonly #openContexts = new Set<CallContext>();
  #onIdle: (() => void)[] = [];
  readonly #timers: CanisterTimers;
  readonly keeper: Keeper;

  constructor(host: CanisterHost, id: Uint8Array, controllers: Uint8Array[], cycles: bigint) {
    this.#host = host;
    this.keeper = new Keeper((error) => host.storeFailed(error));
    this.#timers = new CanisterTimers(
      () => host.now(),
      (entry) => this.#system(entry),
    );
    this.id = id;
    this.text = Principal.fromUint8Array(id).toText();
    this.controllers = controllers;
    this.account = new Account(
      this.text,
      cycles,
      () => host.now(),
      () => this.memorySize,
    );
  }

  /** Bytes of everything that it has stored. */
  get memorySize(): number {
    const { heapLength = 0, stable } = this.state ?? {};
    const binary = this.module?.rewritten.binary.length ?? 0;
    return heapLength + (stable?.pages ?? 0) * STABLE_PAGE + binary + this.chunks.byteLength;
  }

  /** Restores what was kept when the network ended. */
  restore({ kept, module, state, chunks }: SavedCanister): void {
    this.controllers = kept.controllers;
    this.variables = kept.variables ?? [];
    // The calls that a stopping canister waited for are gone.
    this.status = kept.status === "stopping" ? "stopped" : kept.status;
    this.account.freezingThreshold = kept.freezingThreshold ?? FREEZING_THRESHOLD_S;
    this.version = kept.version;
    this.certifiedData = kept.certifiedData;
    this.module = module;
    this.state = state;
    for (const chunk of chunks) this.chunks.add(chunk);
    this.#timers.reset(module?.functionExports.has("canister_heartbeat") ?? false);
    this.#timers.globalTimer = kept.globalTimer;
  }

  /** The state to keep, besides module and memories. */
  kept(): KeptCanister {
    return {
      controllers: this.controllers,
      variables: this.variables,
      status: this.status,
      cycles: this.account.cycles,
      freezingThreshold: this.account.freezingThreshold,
      version: this.version,
      certifiedData: this.certifiedData,
      globalTimer: this.#timers.globalTimer,
      moduleHash: this.module?.hash,
      chunks: this.chunks.hashes,
      heapLength: this.state?.heapLength ?? 0,
      globals: this.state?.globals ?? [],
      stablePages: this.state?.stable.pages ?? 0,
    };
  }

  /** Keeps the changes before anybody gets an answer. @throws Error when that is not possible */
  save(change = NO_CHANGE): void {
    this.keeper.append(this.kept(), change, this.state);
  }

  /** Runs `job` after everything that is queued before it. */
  enqueue<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(job);
    this.#queue = result.catch(() => {});
    return result;
  }

  /** Executes a query call. @throws RejectError */
  query(method: string, argument: Uint8Array, caller: Uint8Array, ranges: RangesShown): Promise<Response> {
    return this.enqueue(async () => {
      this.requireRunning();
      this.account.requireForQuery();
      const kind = this.#methodKind(method);
      if (kind !== "query" && kind !== "composite_query")
        throw this.#error("IC0536", `Canister has no query method '${method}'.`);
      const environment = { ...this.environment(), certificate: this.#host.dataCertificate(this, ranges) };
      const outcome = await this.execute({
        entry: kind,
        method,
        argument,
        caller,
        mayRespond: true,
        environment,
      });
      return answerOf(outcome, MAX_QUERY_REPLY, this.text);
    });
  }

  /** Executes an update call (or a query method called as one) and waits for its answer. @throws RejectError */
  async update(
    method: string,
    argument: Uint8Array,
    caller: Uint8Array,
    cycles: bigint,
  ): Promise<{ response: Response; refund: bigint }> {
    this.requireRunning();
    this.account.requireCycles(executionCost(0));
    return new Promise((resolve, reject) => {
      const context = contextFor(cycles, (response, refund) => {
        this.#close(context);
        resolve({ response, refund });
      });
      this.#openContexts.add(context);
      this.enqueue(async () => {
        const kind = this.#methodKind(method);
        if (kind === undefined) throw this.#error("IC0536", `Canister has no update method '${method}'.`);
        if (kind === "composite_query")
          throw this.#error("IC0527", `Composite query '${method}' cannot be called as an update.`);
        await this.#run(context, { entry: kind, method, argument, caller });
      }).catch((error: unknown) => {
        this.#close(context);
        reject(error);
      });
    });
  }

  /**
   * Asks the canister whether it accepts an ingress message, and charges it for that.
   *
   * @param cost the price of accepting it
   * @throws RejectError when the canister refuses, or cannot pay
   */
  async inspect(method: string, argument: Uint8Array, caller: Uint8Array, cost: bigint): Promise<void> {
    await this.#inspect(method, argument, caller, cost);
    this.account.charge(cost);
  }

  #inspect(method: string, argument: Uint8Array, caller: Uint8Array, cost: bigint): Promise<void> {
    return this.enqueue(async () => {
      this.requireRunning();
      this.account.requireCycles(cost);
      if (this.#methodKind(method) === undefined) {
        throw this.#error("IC0536", `Canister has no update method '${method}'.`);
      }
      if (!this.module?.functionExports.has("canister_inspect_message")) return;
      const outcome = await this.execute({ entry: "inspect_message", method, argument, caller });
      if (outcome.trap !== undefined) throw this.#error(outcome.trap.errorCode, outcome.trap.message);
      if (!outcome.accepted) {
        const message = `Error from Canister ${this.text}: Canister rejected the message`;
        throw new RejectError(REJECT_CODE.canisterReject, "IC0406", message);
      }
    });
  }

  /** Stops accepting calls, and resolves when every accepted call is answered. */
  async stop(): Promise<void> {
    if (this.status === "running") this.status = "stopping";
    if (this.#openContexts.size > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
    if (this.status === "stopping") this.status = "stopped";
    this.save();
  }

  /** Replaces the old module with one that has been installed. */
  async adopt({ runtime, module, wasm, state, change, outcomes }: Adoption): Promise<void> {
    const old = this.#runtime;
    this.keeper.addModule(wasm, module.hash);
    this.#runtime = runtime;
    this.module = module;
    this.state = state;
    this.version += 1n;
    this.#timers.reset(module.functionExports.has("canister_heartbeat"));
    for (const [before, outcome] of outcomes) this.#applyEffects(outcome, before);
    this.#host.stateChanged();
    this.save(change);
    this.keeper.compact(this.state);
    await old?.close();
  }

  /** Removes module, state and chunk store; calls that wait for an answer get a reject. */
  async clear(reason: string): Promise<void> {
    this.#timers.reset(false);
    for (const context of this.#openContexts) {
      context.abandoned = true;
      context.respond({
        reject: {
          code: REJECT_CODE.canisterReject,
          errorCode: "IC0301",
          message: `Canister ${this.text} ${reason}`,
        },
      });
    }
    const old = this.#runtime;
    this.#runtime = undefined;
    this.module = undefined;
    this.state = undefined;
    this.chunks.clear();
    this.certifiedData = EMPTY;
    this.version += 1n;
    this.#host.stateChanged();
    this.save(ALL_GONE);
    await old?.close();
  }

  /** @throws RejectError unless the canister is running and has a module */
  requireRunning(): void {
    if (this.status === "stopped") throw this.#error("IC0508", `Canister ${this.text} is stopped`, "");
    if (this.status === "stopping") throw this.#error("IC0509", `Canister ${this.text} is stopping`, "");
    if (this.module === undefined) {
      throw this.#error(
        "IC0537",
        "Attempted to execute a message, but the canister contains no Wasm module.",
      );
    }
  }

  /** What the system API tells a message that runs now. */
  environment(): Environment {
    return {
      self: this.id,
      subnet: this.#host.subnet,
      rootKey: this.#host.rootKey,
      controllers: this.controllers,
      variables: this.variables,
      time: this.#host.now(),
      balance: this.account.cycles,
      freezingLimit: this.account.freezingLimit,
      version: this.version,
      status: STATUS_NUMBER[this.status],
      globalTimer: this.#timers.globalTimer,
      certificate: undefined,
    };
  }

  /** Runs one task in the canister's worker and applies its effects; must run in the queue. */
  async execute(
    given: Pick<Task, "entry"> & Partial<Task>,
    runtime: CanisterRuntime | undefined = undefined,
  ): Promise<Outcome> {
    const task: Task = { ...TASK_DEFAULTS, environment: this.environment(), ...given };
    try {
      const outcome = await (runtime ?? (await this.#liveRuntime())).execute(task);
      for (const line of outcome.printed) this.#host.log(`[${this.text}] ${line}`);
      return outcome;
    } catch (error) {
      if (!(error instanceof RuntimeEndedError)) throw error;
      return { ...NO_OUTCOME, trap: { errorCode: error.errorCode, message: error.message } };
    }
  }

  /** Applies the effects of a committed task. */
  apply(outcome: Outcome, balanceBefore: bigint): void {
    const { delta } = outcome;
    if (delta !== undefined && this.state !== undefined) applyDelta(this.state, delta);
    this.#applyEffects(outcome, balanceBefore);
    this.save({
      heap: { isFresh: false, pages: delta?.heapPages ?? [] },
      stable: { isFresh: false, pages: delta?.stable.written ?? [] },
    });
    this.keeper.compact(this.state);
  }

  #applyEffects(outcome: Outcome, balanceBefore: bigint): void {
    this.account.add(outcome.balance - balanceBefore);
    if (outcome.certifiedData !== undefined) {
      this.certifiedData = outcome.certifiedData;
      this.#host.stateChanged();
    }
    if (outcome.globalTimer !== undefined) this.#timers.globalTimer = outcome.globalTimer;
  }

  /** Stops timers and heartbeats. */
  close(): void {
    this.#timers.reset(false);
  }

  /** Runs a task of the system, for which nobody waits. */
  #system(entry: "global_timer" | "heartbeat"): void {
    const context = contextFor(0n, () => this.#close(context));
    context.isSystem = true;
    this.#openContexts.add(context);
    this.enqueue(async () => {
      this.requireRunning();
      this.account.requireCycles(executionCost(0));
      await this.#run(context, { entry, caller: MANAGEMENT_CANISTER });
    }).catch(() => this.#close(context));
  }

  /** Executes a message of a call context, and sends its answer and its calls on their way. */
  async #run(context: CallContext, given: Pick<Task, "entry"> & Partial<Task>): Promise<void> {
    if (context.abandoned) return;
    const environment = this.environment();
    const outcome = await this.execute({
      ...given,
      mayRespond: !context.isSystem && !context.responded,
      cyclesAvailable: context.cycles,
      environment,
    });
    this.account.charge(executionCost(outcome.elapsed));
    if (outcome.trap === undefined) {
      this.apply(outcome, environment.balance);
      context.cycles -= outcome.cyclesAccepted;
      for (const call of outcome.calls) this.#send(context, call);
    } else if (context.isSystem) {
      this.#host.log(`[${this.text}] ${given.entry}: ${outcome.trap.message}`);
    }
    // After a trap, the callback of another of the context's calls may still produce the answer.
    const isAnswer = outcome.trap === undefined && outcome.response !== undefined;
    if (isAnswer || context.pending === 0) context.respond(answerOf(outcome, MAX_UPDATE_REPLY, this.text));
    if (outcome.trap !== undefined && given.callback !== undefined && context.cleanup !== undefined) {
      const before = this.environment();
      const cleanup = await this.execute({
        entry: "cleanup",
        callback: context.cleanup,
        environment: before,
      });
      this.account.charge(executionCost(cleanup.elapsed));
      if (cleanup.trap === undefined) this.apply(cleanup, before.balance);
    }
    if (context.pending === 0) this.#close(context);
  }

  #send(context: CallContext, call: OutgoingCall): void {
    context.pending += 1;
    const answered = ({ response, refund }: { response: Response; refund: bigint }): Promise<void> =>
      this.enqueue(async () => {
        context.pending -= 1;
        context.cleanup = call.onCleanup;
        this.account.add(refund);
        const failed = "reject" in response;
        await this.#run(context, {
          entry: failed ? "reject" : "reply",
          callback: failed ? call.onReject : call.onReply,
          argument: failed ? EMPTY : response.reply,
          rejected: failed ? response.reject : undefined,
          cyclesRefunded: refund,
        });
      });
    this.#host
      .call(this.id, call)
      .catch((error: unknown) => ({ response: { reject: rejectOf(error) }, refund: call.cycles }))
      .then(answered)
      .catch((error: unknown) => this.#host.log(`[${this.text}] ${rejectOf(error).message}`));
  }

  #close(context: CallContext): void {
    if (context.pending > 0 && !context.abandoned) return;
    this.#openContexts.delete(context);
    if (this.#openContexts.size > 0) return;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  #methodKind(method: string): "update" | "query" | "composite_query" | undefined {
    const exports = this.module?.functionExports;
    if (exports?.has(`canister_update ${method}`)) return "update";
    if (exports?.has(`canister_query ${method}`)) return "query";
    if (exports?.has(`canister_composite_query ${method}`)) return "composite_query";
    return undefined;
  }

  /** A running worker: a new one from the committed state when the old one had to be ended. */
  async #liveRuntime(): Promise<CanisterRuntime> {
    if (this.#runtime !== undefined && !this.#runtime.ended) return this.#runtime;
    if (this.module === undefined || this.state === undefined) throw new Error("no module to run");
    this.#runtime = this.#host.startRuntime();
    await this.#runtime.load(this.module.rewritten, this.state, "restore", false);
    return this.#runtime;
  }

  #error(errorCode: string, message: string, prefix = `Error from Canister ${this.text}: `): RejectError {
    return new RejectError(REJECT_CODE.canisterError, errorCode, prefix + message);
  }
}
