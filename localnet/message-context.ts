/**
 * The effects of a running message so far. They become the outcome when the message ends without a trap.
 */
import type { EntryPoint, OutgoingCall, Task, Trap } from "./message.ts";

/** Ends the running message and rolls it back. */
export class TrapError extends Error {
  readonly errorCode: string;

  constructor(errorCode: string, message: string) {
    super(message);
    this.errorCode = errorCode;
  }
}

/** The canister has violated the system API's rules in the interface specification. */
export function violation(message: string): TrapError {
  return new TrapError("IC0504", `Canister violated contract: ${message}`);
}

/** The entry points whose effects are committed. */
const LASTING = new Set<EntryPoint>([
  "init",
  "pre_upgrade",
  "post_upgrade",
  "update",
  "global_timer",
  "heartbeat",
  "reply",
  "reject",
  "cleanup",
]);
/** The entry points that may call canisters. */
const CALLING = new Set<EntryPoint>(["update", "global_timer", "heartbeat", "reply", "reject"]);

export class MessageContext {
  readonly task: Task;
  readonly replyParts: Uint8Array[] = [];
  response: { reply: Uint8Array } | { reject: string } | undefined;
  accepted = false;
  /** A call started with call_new and not yet performed; its argument arrives in parts. */
  pending: { call: OutgoingCall; parts: Uint8Array[] } | undefined;
  readonly calls: OutgoingCall[] = [];
  certifiedData: Uint8Array | undefined;
  globalTimer: bigint | undefined;
  cyclesAccepted = 0n;
  balance: bigint;
  readonly printed: string[] = [];
  /** Milliseconds, for the performance counter. */
  readonly started = performance.now();

  constructor(task: Task) {
    this.task = task;
    this.balance = task.environment.balance;
  }

  /** @throws TrapError unless the message's effects are committed. @param name of the function, as for the others below */
  requireLasting(name: string): void {
    if (!this.isLasting) throw this.#forbidden(name);
  }

  /** @throws TrapError unless the entry point may call canisters */
  requireCalling(name: string): void {
    if (!CALLING.has(this.task.entry)) throw this.#forbidden(name);
  }

  /** @throws TrapError unless the message can still answer its call */
  requireOpenCall(name: string): void {
    if (!this.task.mayRespond) throw this.#forbidden(name);
    if (this.response !== undefined) throw violation(`"${name}" cannot be executed twice`);
  }

  /** @throws TrapError unless this entry point is running */
  require(entry: EntryPoint, name: string): void {
    if (this.task.entry !== entry) throw this.#forbidden(name);
  }

  /** Whether the message's effects are committed. */
  get isLasting(): boolean {
    return LASTING.has(this.task.entry);
  }

  /** Whether every node of a subnet would run the message, as with a query that is called as an update. */
  get isReplicated(): boolean {
    const { entry, environment } = this.task;
    return this.isLasting || (entry === "query" && environment.certificate === undefined);
  }

  /** The call being built. */
  openCall(name: string): { call: OutgoingCall; parts: Uint8Array[] } {
    if (this.pending === undefined) throw violation(`"${name}" called without "call_new"`);
    return this.pending;
  }

  /** Takes cycles from the balance. */
  spend(cycles: bigint): void {
    if (cycles > this.balance)
      throw new TrapError("IC0502", `Canister has ${this.balance} cycles, not ${cycles}`);
    this.balance -= cycles;
  }

  #forbidden(name: string): TrapError {
    return violation(`"${name}" cannot be executed in ${this.task.entry} mode`);
  }
}

/** Turns the reason for an execution's early end into a trap, with the IC's text if there is one. */
export function trapOf(error: unknown): Trap {
  if (error instanceof TrapError) return { errorCode: error.errorCode, message: error.message };
  // V8 reports a stack overflow as a RangeError, in WebAssembly as well.
  if (error instanceof RangeError && /call stack/.test(error.message))
    return { errorCode: "IC0502", message: "Canister trapped: stack overflow" };
  if (error instanceof WebAssembly.RuntimeError) {
    // By V8's text, since its errors have no codes.
    const known: [RegExp, string][] = [
      [/unreachable/, "unreachable"],
      [/memory access out of bounds|data segment/, "heap out of bounds"],
      [/divide by zero|remainder by zero/, "integer division by 0"],
      [/table/, "table out of bounds"],
    ];
    const name = known.find(([pattern]) => pattern.test(error.message))?.[1] ?? error.message;
    return { errorCode: "IC0502", message: `Canister trapped: ${name}` };
  }
  return {
    errorCode: "IC0502",
    message: `Canister trapped: ${error instanceof Error ? error.message : String(error)}`,
  };
}
