/**
 * The functions of module `ic0` that canisters import: the system API of the interface specification.
 *
 * Each is written once, in plain numbers. Canisters with 32-bit memory pass pointers and sizes as i32, those with
 * 64-bit memory as i64 (BigInt): {@link bindImports} adapts a function to the types with which a module imports it.
 * Values that need all 64 bits (cycles, times, callbacks) are taken as they come; those functions are in RAW.
 */

import type { WasmValue } from "./message.ts";
import type { MessageContext } from "./message-context.ts";
import { TrapError, violation } from "./message-context.ts";
import { STABLE_PAGE, type StableMemory } from "./stable-memory.ts";
import type { FunctionImport } from "./wasm-binary.ts";

/** What the API works on: the instance's memories and the message that is running. */
export interface ApiHost {
  heap(): Uint8Array;
  /** Says that the host is about to write to this range of the heap. */
  willWrite(at: number, size: number): void;
  stable: StableMemory;
  context(): MessageContext;
}

// biome-ignore lint/suspicious/noExplicitAny: each function has parameters of its own; bindImports passes them on.
type ApiFunction = (...values: any[]) => unknown;

/** Canisters certify one hash; the specification allows no more. */
const MAX_CERTIFIED_DATA = 32;
/** 4 GiB: as far as the 32-bit stable memory functions reach. */
const STABLE32_PAGES = 65536;

const RAW = new Set([
  "msg_cycles_accept",
  "msg_cycles_accept128",
  "cycles_burn128",
  "call_new",
  "call_on_cleanup",
  "call_cycles_add",
  "call_cycles_add128",
  "global_timer_set",
]);

/**
 * Makes the import object for a module. A function that is not known becomes one that traps when it is called, so
 * that a canister can be installed as long as it does not use it.
 */
export function bindImports(
  imports: readonly FunctionImport[],
  host: ApiHost,
): Record<string, Record<string, (...values: WasmValue[]) => WasmValue | undefined>> {
  const known = systemApi(host);
  const bound: Record<string, Record<string, (...values: WasmValue[]) => WasmValue | undefined>> = {};
  for (const wanted of imports) {
    bound[wanted.module] ??= {};
    bound[wanted.module]![wanted.name] = adapt(
      wanted,
      wanted.module === "ic0" ? known[wanted.name] : undefined,
    );
  }
  return bound;
}

function adapt(
  wanted: FunctionImport,
  known: ApiFunction | undefined,
): (...values: WasmValue[]) => WasmValue | undefined {
  if (known === undefined) {
    return () => {
      throw new TrapError(
        "IC0502",
        `Canister called ${wanted.module}.${wanted.name}, which this network does not have`,
      );
    };
  }
  const raw = RAW.has(wanted.name);
  const result = wanted.results[0];
  return (...values) => {
    for (let index = 0; index < values.length; index++) {
      const value = values[index]!;
      if (typeof value === "number") values[index] = value >>> 0;
      else values[index] = raw ? BigInt.asUintN(64, value) : Number(BigInt.asUintN(64, value));
    }
    const given = (known(...values) ?? 0) as WasmValue;
    if (result === "i64") return BigInt(given);
    return result === undefined ? undefined : Number(given);
  };
}

function systemApi(host: ApiHost): Record<string, ApiFunction> {
  const context = host.context;
  const environment = () => context().task.environment;

  /** A view of the canister's memory; valid until the canister runs again. */
  const view = (at: number, size: number): Uint8Array => {
    const heap = host.heap();
    if (at + size > heap.length) throw new TrapError("IC0502", "Canister trapped: heap out of bounds");
    return heap.subarray(at, at + size);
  };
  const target = (at: number, size: number): Uint8Array => {
    const found = view(at, size);
    host.willWrite(at, size);
    return found;
  };
  const bytes = (at: number, size: number): Uint8Array => view(at, size).slice();
  const text = (at: number, size: number): string => Buffer.from(view(at, size)).toString("utf8");

  /** The pair of functions with which the API hands out a blob. */
  const blob = (name: string, source: () => Uint8Array): Record<string, ApiFunction> => ({
    [`${name}_size`]: () => source().length,
    [`${name}_copy`]: (at: number, offset: number, size: number) => copy(name, at, offset, size, source()),
  });
  const copy = (name: string, at: number, offset: number, size: number, source: Uint8Array): void => {
    if (offset + size > source.length) throw violation(`"${name}_copy" beyond the end of the data`);
    target(at, size).set(source.subarray(offset, offset + size));
  };

  const storeCycles = (at: number, cycles: bigint): void => {
    const words = target(at, 16);
    for (let index = 0; index < 16; index++) words[index] = Number((cycles >> BigInt(8 * index)) & 0xffn);
  };
  const accept = (most: bigint): bigint => {
    const left = context().task.cyclesAvailable - context().cyclesAccepted;
    const accepted = most < left ? most : left;
    context().cyclesAccepted += accepted;
    context().balance += accepted;
    return accepted;
  };
  const attach = (name: string, cycles: bigint): void => {
    const { call } = context().openCall(name);
    context().spend(cycles);
    call.cycles += cycles;
  };
  const low64 = (cycles: bigint): bigint => {
    if (cycles >= 1n << 64n)
      throw new TrapError("IC0502", "Canister trapped: the amount of cycles needs 128 bits");
    return cycles;
  };
  const join = (high: bigint, low: bigint): bigint => (high << 64n) | low;
  const burn = (wanted: bigint): bigint => {
    const burnt = wanted < context().balance ? wanted : context().balance;
    context().spend(burnt);
    return burnt;
  };

  const checkStable = (offset: number, size: number): void => {
    if (offset + size > host.stable.pages * STABLE_PAGE) {
      throw new TrapError("IC0502", "Canister trapped: stable memory out of bounds");
    }
  };
  const stableRead = (at: number, offset: number, size: number): void => {
    checkStable(offset, size);
    host.stable.read(offset, target(at, size));
  };
  const stableWrite = (offset: number, at: number, size: number): void => {
    checkStable(offset, size);
    host.stable.write(offset, view(at, size));
  };
  const free = (at: number): void => storeCycles(at, 0n);
  const certificate = (): Uint8Array => {
    const found = environment().certificate;
    if (found === undefined) throw violation('"data_certificate" is there for queries only');
    return found;
  };

  return {
    ...blob("msg_arg_data", () => context().task.argument),
    ...blob("msg_caller", () => context().task.caller),
    ...blob("msg_reject_msg", () => Buffer.from(context().task.rejected?.message ?? "")),
    ...blob("msg_method_name", () => Buffer.from(context().task.method)),
    ...blob("canister_self", () => environment().self),
    ...blob("subnet_self", () => environment().subnet),
    ...blob("root_key", () => environment().rootKey),
    ...blob("data_certificate", certificate),
    data_certificate_present: () => (environment().certificate === undefined ? 0 : 1),
    msg_reject_code: () => context().task.rejected?.code ?? 0,
    msg_deadline: () => 0,
    accept_message: () => {
      context().require("inspect_message", "accept_message");
      if (context().accepted) throw violation('"accept_message" cannot be executed twice');
      context().accepted = true;
    },

    msg_reply_data_append: (at: number, size: number) => {
      context().requireOpenCall("msg_reply_data_append");
      context().replyParts.push(bytes(at, size));
    },
    msg_reply: () => {
      context().requireOpenCall("msg_reply");
      const parts = context().replyParts;
      // One part is the rule; joining copies, and a Node buffer may be a piece of a pool, which cannot be transferred.
      const reply = parts.length === 1 ? parts[0]! : new Uint8Array(Buffer.concat(parts));
      context().response = { reply };
    },
    msg_reject: (at: number, size: number) => {
      context().requireOpenCall("msg_reject");
      context().response = { reject: text(at, size) };
    },

    msg_cycles_available: () => low64(context().task.cyclesAvailable - context().cyclesAccepted),
    msg_cycles_available128: (at: number) =>
      storeCycles(at, context().task.cyclesAvailable - context().cyclesAccepted),
    msg_cycles_refunded: () => low64(context().task.cyclesRefunded),
    msg_cycles_refunded128: (at: number) => storeCycles(at, context().task.cyclesRefunded),
    msg_cycles_accept: (most: bigint) => accept(most),
    msg_cycles_accept128: (high: bigint, low: bigint, at: WasmValue) =>
      storeCycles(Number(at), accept(join(high, low))),
    cycles_burn128: (high: bigint, low: bigint, at: WasmValue) =>
      storeCycles(Number(at), burn(join(high, low))),
    canister_cycle_balance: () => low64(context().balance),
    canister_cycle_balance128: (at: number) => storeCycles(at, context().balance),
    canister_liquid_cycle_balance128: (at: number) => storeCycles(at, context().balance),
    canister_status: () => environment().status,
    canister_version: () => environment().version,
    is_controller: (at: number, size: number) => {
      const wanted = view(at, size);
      return environment().controllers.some((controller) => Buffer.compare(controller, wanted) === 0) ? 1 : 0;
    },
    in_replicated_execution: () => (context().isReplicated ? 1 : 0),

    call_new: (
      callee: WasmValue,
      calleeSize: WasmValue,
      name: WasmValue,
      nameSize: WasmValue,
      replyFun: WasmValue,
      replyEnv: WasmValue,
      rejectFun: WasmValue,
      rejectEnv: WasmValue,
    ) => {
      context().requireCalling("call_new");
      const call = {
        callee: bytes(Number(callee), Number(calleeSize)),
        method: text(Number(name), Number(nameSize)),
        argument: new Uint8Array(),
        cycles: 0n,
        onReply: { fun: replyFun, env: replyEnv },
        onReject: { fun: rejectFun, env: rejectEnv },
        onCleanup: undefined,
      };
      context().pending = { call, parts: [] };
    },
    call_on_cleanup: (fun: WasmValue, env: WasmValue) => {
      const { call } = context().openCall("call_on_cleanup");
      if (call.onCleanup !== undefined) throw violation('"call_on_cleanup" cannot be executed twice');
      call.onCleanup = { fun, env };
    },
    call_data_append: (at: number, size: number) => {
      context().openCall("call_data_append").parts.push(bytes(at, size));
    },
    // Every call here is answered, so a call that would also do without an answer is one like any other.
    call_with_best_effort_response: () => void context().openCall("call_with_best_effort_response"),
    call_cycles_add: (amount: bigint) => attach("call_cycles_add", amount),
    call_cycles_add128: (high: bigint, low: bigint) => attach("call_cycles_add128", join(high, low)),
    call_perform: () => {
      const { call, parts } = context().openCall("call_perform");
      context().pending = undefined;
      context().calls.push({ ...call, argument: new Uint8Array(Buffer.concat(parts)) });
      return 0;
    },

    stable_size: () => Math.min(host.stable.pages, STABLE32_PAGES),
    stable_grow: (pages: number) =>
      host.stable.pages + pages > STABLE32_PAGES ? -1 : host.stable.grow(pages),
    stable_read: stableRead,
    stable_write: stableWrite,
    stable64_size: () => host.stable.pages,
    stable64_grow: (pages: number) => host.stable.grow(pages),
    stable64_read: stableRead,
    stable64_write: stableWrite,

    certified_data_set: (at: number, size: number) => {
      context().requireReplicated("certified_data_set");
      if (size > MAX_CERTIFIED_DATA)
        throw violation(`certified data of ${size} bytes, more than ${MAX_CERTIFIED_DATA}`);
      context().certifiedData = bytes(at, size);
    },
    time: () => environment().time,
    global_timer_set: (timestamp: bigint) => {
      context().requireReplicated("global_timer_set");
      const before = context().globalTimer ?? environment().globalTimer;
      context().globalTimer = timestamp;
      return before;
    },
    // Nanoseconds stand for instructions: growing, and of about the right size.
    performance_counter: () => Math.round((performance.now() - context().started) * 1e6),

    // Nothing costs anything on this network.
    cost_call: (_name: number, _payload: number, at: number) => free(at),
    cost_create_canister: free,
    cost_http_request: (_request: number, _response: number, at: number) => free(at),
    cost_http_request_v2: (_params: number, _size: number, at: number) => free(at),
    cost_sign_with_ecdsa: (_name: number, _size: number, _curve: number, at: number) => void free(at),
    cost_sign_with_schnorr: (_name: number, _size: number, _algorithm: number, at: number) => void free(at),
    cost_vetkd_derive_key: (_name: number, _size: number, _curve: number, at: number) => void free(at),

    // Environment variables cannot be set on this network: there are none to find.
    env_var_count: () => 0,
    env_var_name_exists: () => 0,

    debug_print: (at: number, size: number) => void context().printed.push(text(at, size)),
    trap: (at: number, size: number) => {
      throw new TrapError("IC0503", `Canister called \`ic0.trap\` with message: '${text(at, size)}'`);
    },
  };
}
