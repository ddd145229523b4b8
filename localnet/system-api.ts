/**
 * The functions of module `ic0` that canisters import: the system API of the interface specification.
 *
 * Each is written once, in plain numbers. Canisters with 32-bit memory pass pointers and sizes as i32, those with
 * 64-bit memory as i64 (BigInt): {@link bindImports} adapts a function to the types with which a module imports it.
 * Values that need all 64 bits (cycles, times, callbacks) are taken as they come; those functions are in RAW.
 */

import { type ApiFunction, type ApiHost, heapAccess } from "./heap-access.ts";
import type { WasmValue } from "./message.ts";
import { TrapError, violation } from "./message-context.ts";
import { STABLE_PAGE } from "./stable-memory.ts";
import { cyclesApi } from "./system-api-cycles.ts";
import { variablesApi } from "./system-api-variables.ts";
import type { FunctionImport } from "./wasm-binary.ts";

/** Canisters certify one hash; the specification allows no more. */
const MAX_CERTIFIED_DATA = 32;
/** 4 GiB, the reach of the 32-bit stable memory functions. */
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
 * Makes the import object for a module. An unknown function becomes one that traps when called, so that a canister that does not
 * use it can be installed.
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
  const { view, target, bytes, text, blob } = heapAccess(host);

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
      // There is usually one part. Joining copies, and a Node buffer may be part of a pool, which cannot be transferred.
      const reply = parts.length === 1 ? parts[0]! : new Uint8Array(Buffer.concat(parts));
      context().response = { reply };
    },
    msg_reject: (at: number, size: number) => {
      context().requireOpenCall("msg_reject");
      context().response = { reject: text(at, size) };
    },

    canister_status: () => environment().status,
    canister_version: () => environment().version,
    ...cyclesApi(host),
    ...variablesApi(host),
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
    // Every call is answered here, so a best-effort call is like any other.
    call_with_best_effort_response: () => void context().openCall("call_with_best_effort_response"),
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
      context().requireLasting("certified_data_set");
      if (size > MAX_CERTIFIED_DATA)
        throw violation(`certified data of ${size} bytes, more than ${MAX_CERTIFIED_DATA}`);
      context().certifiedData = bytes(at, size);
    },
    time: () => environment().time,
    global_timer_set: (timestamp: bigint) => {
      context().requireLasting("global_timer_set");
      const before = context().globalTimer ?? environment().globalTimer;
      context().globalTimer = timestamp;
      return before;
    },
    // Nanoseconds replace instructions: they increase, and are of about the right size.
    performance_counter: () => Math.round((performance.now() - context().started) * 1e6),

    debug_print: (at: number, size: number) => void context().printed.push(text(at, size)),
    trap: (at: number, size: number) => {
      throw new TrapError("IC0503", `Canister called \`ic0.trap\` with message: '${text(at, size)}'`);
    },
  };
}
