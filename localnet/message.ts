/**
 * The messages between the main thread and a canister's worker: a task is one message to execute, and its
 * outcome is everything that the execution did. All of it can be cloned between threads.
 */
import type { StableDelta, StableState } from "./stable-memory.ts";
import type { RewrittenModule } from "./wasm-binary.ts";

/** A WebAssembly number in JavaScript: i32 is a number, i64 a BigInt. */
export type WasmValue = number | bigint;

/** A canister's state between messages, in memory that threads share. */
export interface CanisterState {
  /** The main memory's bytes; only the first `heapLength` count. */
  heap: SharedArrayBuffer;
  heapLength: number;
  /** The mutable globals, in the order of their indices. */
  globals: WasmValue[];
  stable: StableState;
}

/** What a committed message changed in a {@link CanisterState} besides the bytes of shared memory. */
export interface StateDelta {
  /** A larger buffer that replaces the old one, when the main memory outgrew it. */
  heap: SharedArrayBuffer | undefined;
  heapLength: number;
  /** The main memory's changed pages; of new pages, only those that are not zeros. */
  heapPages: number[];
  globals: WasmValue[];
  stable: StableDelta;
}

/** The canister's entry points, named as in the interface specification. */
export type EntryPoint =
  | "init"
  | "pre_upgrade"
  | "post_upgrade"
  | "update"
  | "query"
  | "composite_query"
  | "inspect_message"
  | "global_timer"
  | "heartbeat"
  | "reply"
  | "reject"
  | "cleanup";

/** A function in the canister's table and the value it is called with. */
export interface Callback {
  fun: WasmValue;
  env: WasmValue;
}

/** A call to another canister (or to this one). */
export interface OutgoingCall {
  callee: Uint8Array;
  method: string;
  argument: Uint8Array;
  cycles: bigint;
  onReply: Callback;
  onReject: Callback;
  onCleanup: Callback | undefined;
}

export interface Task {
  entry: EntryPoint;
  /** The exported method for `update`, `query` and `composite_query`, the called one for `inspect_message`, else empty. */
  method: string;
  caller: Uint8Array;
  argument: Uint8Array;
  /** For `reply`, `reject` and `cleanup`. */
  callback: Callback | undefined;
  /** For the `reject` callback: why the call failed. */
  rejected: { code: number; message: string } | undefined;
  /** Whether the message's call still waits for an answer. */
  mayRespond: boolean;
  /** Cycles that came with the call, and those that came back with a response. */
  cyclesAvailable: bigint;
  cyclesRefunded: bigint;
  environment: Environment;
}

/** An environment variable of a canister. */
export interface Variable {
  readonly name: string;
  readonly value: string;
}

/** What the system API tells a canister about itself and its network. Times are nanoseconds since 1970. */
export interface Environment {
  self: Uint8Array;
  subnet: Uint8Array;
  rootKey: Uint8Array;
  controllers: Uint8Array[];
  variables: Variable[];
  time: bigint;
  balance: bigint;
  /** With fewer cycles, the canister is frozen. */
  freezingLimit: bigint;
  version: bigint;
  /** 1 running, 2 stopping, 3 stopped. */
  status: number;
  globalTimer: bigint;
  /** The certificate over the canister's certified data; queries only. */
  certificate: Uint8Array | undefined;
}

export interface Trap {
  /** The IC's code, such as IC0502. */
  errorCode: string;
  message: string;
}

export interface Outcome {
  /** If present, the message changed nothing, and of the rest only `printed` and `elapsed` count. */
  trap: Trap | undefined;
  response: { reply: Uint8Array } | { reject: string } | undefined;
  /** Whether `inspect_message` accepted the call. */
  accepted: boolean;
  calls: OutgoingCall[];
  certifiedData: Uint8Array | undefined;
  globalTimer: bigint | undefined;
  cyclesAccepted: bigint;
  balance: bigint;
  /** Nanoseconds that the execution took. */
  elapsed: number;
  printed: string[];
  /** Absent when the execution leaves nothing behind (queries, inspection). */
  delta: StateDelta | undefined;
}

/** Defaults for a task; `entry` and `environment` are always given. */
export const TASK_DEFAULTS = {
  method: "",
  caller: new Uint8Array(),
  argument: new Uint8Array(),
  callback: undefined,
  rejected: undefined,
  mayRespond: false,
  cyclesAvailable: 0n,
  cyclesRefunded: 0n,
};

/** The outcome of an execution that did nothing. */
export const NO_OUTCOME: Outcome = {
  trap: undefined,
  response: undefined,
  accepted: false,
  calls: [],
  certifiedData: undefined,
  globalTimer: undefined,
  cyclesAccepted: 0n,
  balance: 0n,
  elapsed: 0,
  printed: [],
  delta: undefined,
};

/** Loads a module into the worker. */
export interface LoadRequest {
  kind: "load";
  module: RewrittenModule;
  state: CanisterState;
  /** `restore`: as it was; `fresh`: a new main memory; `keep`: the main memory under a new module. */
  memory: "restore" | "fresh" | "keep";
  /** Whether the given segments of stable memory must not be written to. */
  copyOnWrite: boolean;
}

export interface ExecuteRequest {
  kind: "execute";
  task: Task;
}

export type WorkerRequest = LoadRequest | ExecuteRequest;

/** Why the module cannot be loaded, if that is the case. */
export interface LoadResult {
  error: string | undefined;
}

/**
 * The shared word between a worker and the main thread that decides a race between a commit and the end of the
 * time limit: the thread that changes it from `running` first wins.
 */
export const PHASE = { running: 0, committing: 1, condemned: 2 };
