/**
 * What a running message has done so far. It becomes the outcome when the message ends without a trap.
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

/** The canister used the system API in a way the interface specification forbids. */
export function violation(message: string): TrapError {
  return new TrapError("IC0504", `Canister violated contract: ${message}`);
}

/** The entry points whose effects last. */
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
const CALLING = new Set<EntryPoint>(["update", "global_timer", "heartbeat", "reply", "reject"]);

export class MessageContext {
  readonly task: Task;
  readonly replyParts: Uint8Array[] = [];
  response: { reply: Uint8Array } | { reject: string } | undefined;
  accepted = false;
  /** A call begun with call_new and not yet performed; its argument comes in parts. */
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

  requireLasting(name: string): void {
    if (!this.isLasting) throw this.#forbidden(name);
  }

  requireCalling(name: string): void {
    if (!CALLING.has(this.task.entry)) throw this.#forbidden(name);
  }

  requireOpenCall(name: string): void {
    if (!this.task.mayRespond) throw this.#forbidden(name);
    if (this.response !== undefined) throw violation(`"${name}" cannot be executed twice`);
  }

  require(entry: EntryPoint, name: string): void {
    if (this.task.entry !== entry) throw this.#forbidden(name);
  }

  /** Whether what the message does stays. */
  get isLasting(): boolean {
    return LASTING.has(this.task.entry);
  }

  /** Whether every node of a subnet would run the message; so it is with a query that is called as an update. */
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

/** Turns whatever ended an execution early into a trap, in the IC's words where it has some. */
export function trapOf(error: unknown): Trap {
  if (error instanceof TrapError) return { errorCode: error.errorCode, message: error.message };
  // V8 reports a stack overflow, in WebAssembly as well, as a RangeError.
  if (error instanceof RangeError && /call stack/.test(error.message))
    return { errorCode: "IC0502", message: "Canister trapped: stack overflow" };
  if (error instanceof WebAssembly.RuntimeError) {
    // V8's words: its error has nothing else.
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
