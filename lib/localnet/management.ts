/**
 * The management canister, `aaaaa-aa`: creating canisters, installing code, and who may do it.
 */
import { randomBytes } from "node:crypto";
import { IDL } from "@dfinity/candid";
import { Principal } from "@dfinity/principal";
import type { Canister } from "./canister.ts";
import { installCode } from "./install.ts";
import * as types from "./management-types.ts";
import { REJECT_CODE, RejectError } from "./response.ts";
import type { CanisterRuntime } from "./runtime.ts";
import { STABLE_PAGE } from "./stable-memory.ts";

export const MANAGEMENT_CANISTER = new Uint8Array();

/** What the management canister needs of the network. */
export interface ManagementHost {
  startRuntime(): CanisterRuntime;
  /** @throws RejectError when there is no such canister */
  canister(id: Uint8Array): Canister;
  /** @throws RejectError when the wanted id is taken or no canister's id */
  createCanister(controllers: Uint8Array[], cycles: bigint, id: Uint8Array | undefined): Canister;
  removeCanister(canister: Canister): void;
  stateChanged(): void;
}

export interface ManagementCall {
  method: string;
  argument: Uint8Array;
  caller: Uint8Array;
  /** Whether it comes from a canister, and not from a user. */
  fromCanister: boolean;
  cycles: bigint;
}

interface Method {
  argument: IDL.Type | undefined;
  result: IDL.Type | undefined;
  /** Who may call it: the controllers of the canister it is about, only canisters, or anyone. */
  callers: "controllers" | "canisters" | "anyone";
  // biome-ignore lint/suspicious/noExplicitAny: what Candid has decoded has the type that `argument` describes.
  run(argument: any, call: ManagementCall): Promise<unknown> | unknown;
}

/** Cycles of a new canister when none are asked for: 100 T, enough never to matter. */
const DEFAULT_CYCLES = 100_000_000_000_000n;
/** The IC's limit on a canister's controllers. */
const MAX_CONTROLLERS = 10;
/** The IC's default, 30 days; it has no effect here. */
const FREEZING_THRESHOLD_S = 2_592_000n;

export class ManagementCanister {
  readonly #host: ManagementHost;
  readonly #methods: Record<string, Method>;

  constructor(host: ManagementHost) {
    this.#host = host;
    this.#methods = methodsOn(host);
  }

  /** Checks a user's call before it is taken. @throws RejectError */
  inspect(call: ManagementCall): void {
    this.#prepare(call);
  }

  /**
   * Executes a call.
   *
   * @returns the reply, in Candid
   * @throws RejectError
   */
  async execute(call: ManagementCall): Promise<Uint8Array> {
    const { method, argument } = this.#prepare(call);
    const result = await method.run(argument, call);
    return method.result === undefined ? IDL.encode([], []) : IDL.encode([method.result], [result]);
  }

  #prepare(call: ManagementCall): { method: Method; argument: unknown } {
    const method = Object.hasOwn(this.#methods, call.method) ? this.#methods[call.method] : undefined;
    if (method === undefined || (method.callers === "canisters" && !call.fromCanister)) {
      throw new RejectError(
        REJECT_CODE.destinationInvalid,
        "IC0536",
        `Management canister has no method '${call.method}' for ${call.fromCanister ? "canisters" : "users"} on the local network.`,
      );
    }
    const argument = method.argument === undefined ? undefined : decode(method.argument, call.argument);
    if (method.callers === "controllers") {
      const canister = this.#host.canister(
        (argument as { canister_id: Principal }).canister_id.toUint8Array(),
      );
      if (!isController(canister, call.caller)) {
        const message = `Only controllers of canister ${canister.text} can call ic00 method ${call.method}`;
        throw failed("IC0512", message);
      }
    }
    return { method, argument };
  }
}

function methodsOn(host: ManagementHost): Record<string, Method> {
  const find = (id: Principal) => host.canister(id.toUint8Array());
  return {
    provisional_create_canister_with_cycles: {
      argument: types.provisionalCreate,
      result: types.onCanister,
      callers: "anyone",
      run({ amount, settings, specified_id }, { caller }) {
        const controllers = controllersOf(settings[0]) ?? [caller];
        const canister = host.createCanister(
          controllers,
          amount[0] ?? DEFAULT_CYCLES,
          specified_id[0]?.toUint8Array(),
        );
        return { canister_id: Principal.fromUint8Array(canister.id) };
      },
    },
    create_canister: {
      argument: types.create,
      result: types.onCanister,
      callers: "canisters",
      run({ settings }, { caller, cycles }) {
        const canister = host.createCanister(controllersOf(settings[0]) ?? [caller], cycles, undefined);
        return { canister_id: Principal.fromUint8Array(canister.id) };
      },
    },
    install_code: {
      argument: types.installCode,
      result: undefined,
      callers: "controllers",
      run({ canister_id, mode, wasm_module, arg }, { caller }) {
        const canister = find(canister_id);
        const options = mode.upgrade?.[0];
        const persistence = options?.wasm_memory_persistence[0];
        const installation = {
          mode: Object.keys(mode)[0] as "install" | "reinstall" | "upgrade",
          wasm: Uint8Array.from(wasm_module),
          argument: Uint8Array.from(arg),
          caller,
          skipPreUpgrade: options?.skip_pre_upgrade[0] ?? false,
          persistence: persistence === undefined ? undefined : "keep" in persistence ? "keep" : "replace",
        } as const;
        return canister.enqueue(() => installCode(canister, installation, () => host.startRuntime()));
      },
    },
    uninstall_code: {
      argument: types.onCanister,
      result: undefined,
      callers: "controllers",
      run({ canister_id }) {
        const canister = find(canister_id);
        return canister.enqueue(() => canister.clear("has been uninstalled"));
      },
    },
    update_settings: {
      argument: types.updateSettings,
      result: undefined,
      callers: "controllers",
      run({ canister_id, settings }) {
        const canister = find(canister_id);
        canister.controllers = controllersOf(settings) ?? canister.controllers;
        canister.version += 1n;
        host.stateChanged();
        canister.save();
      },
    },
    start_canister: {
      argument: types.onCanister,
      result: undefined,
      callers: "controllers",
      run({ canister_id }) {
        const canister = find(canister_id);
        canister.status = "running";
        canister.save();
      },
    },
    stop_canister: {
      argument: types.onCanister,
      result: undefined,
      callers: "controllers",
      run: ({ canister_id }) => find(canister_id).stop(),
    },
    delete_canister: {
      argument: types.onCanister,
      result: undefined,
      callers: "controllers",
      async run({ canister_id }) {
        const canister = find(canister_id);
        if (canister.status !== "stopped") {
          throw failed("IC0510", `Canister ${canister.text} must be stopped before it is deleted.`);
        }
        host.removeCanister(canister);
        await canister.clear("has been deleted");
      },
    },
    canister_status: {
      argument: types.onCanister,
      result: types.canisterStatus,
      callers: "controllers",
      run: ({ canister_id }) => statusOf(find(canister_id)),
    },
    canister_info: {
      argument: types.onCanister,
      result: types.canisterInfo,
      callers: "canisters",
      run({ canister_id }) {
        const canister = find(canister_id);
        return {
          total_num_changes: canister.version,
          recent_changes: [],
          module_hash: canister.module === undefined ? [] : [canister.module.hash],
          controllers: canister.controllers.map((id) => Principal.fromUint8Array(id)),
        };
      },
    },
    provisional_top_up_canister: {
      argument: types.topUp,
      result: undefined,
      callers: "anyone",
      run({ canister_id, amount }) {
        addCycles(find(canister_id), amount);
      },
    },
    deposit_cycles: {
      argument: types.onCanister,
      result: undefined,
      callers: "canisters",
      run({ canister_id }, { cycles }) {
        addCycles(find(canister_id), cycles);
      },
    },
    raw_rand: {
      argument: undefined,
      result: types.randomBytes,
      callers: "canisters",
      run: () => new Uint8Array(randomBytes(32)),
    },
  };
}

function addCycles(canister: Canister, cycles: bigint): void {
  canister.cycles += cycles;
  canister.save();
}

function statusOf(canister: Canister): Record<string, unknown> {
  const wasmMemory = BigInt(canister.state?.heapLength ?? 0);
  const stableMemory = BigInt((canister.state?.stable.pages ?? 0) * STABLE_PAGE);
  const binary = BigInt(canister.module?.rewritten.binary.length ?? 0);
  return {
    status: { [canister.status]: null },
    settings: {
      controllers: canister.controllers.map((id) => Principal.fromUint8Array(id)),
      compute_allocation: 0n,
      memory_allocation: 0n,
      freezing_threshold: FREEZING_THRESHOLD_S,
      reserved_cycles_limit: 0n,
      minimum_incoming_canister_call_cycles: 0n,
      log_visibility: { controllers: null },
      snapshot_visibility: { controllers: null },
      status_visibility: { controllers: null },
      wasm_memory_limit: 0n,
      wasm_memory_threshold: 0n,
      log_memory_limit: 0n,
      environment_variables: [],
    },
    module_hash: canister.module === undefined ? [] : [canister.module.hash],
    memory_size: wasmMemory + stableMemory + binary,
    memory_metrics: {
      wasm_memory_size: wasmMemory,
      stable_memory_size: stableMemory,
      global_memory_size: 0n,
      wasm_binary_size: binary,
      custom_sections_size: 0n,
      canister_history_size: 0n,
      wasm_chunk_store_size: 0n,
      snapshots_size: 0n,
      log_memory_store_size: 0n,
    },
    cycles: canister.cycles,
    reserved_cycles: 0n,
    idle_cycles_burned_per_day: 0n,
    query_stats: {
      num_calls_total: 0n,
      num_instructions_total: 0n,
      request_payload_bytes_total: 0n,
      response_payload_bytes_total: 0n,
    },
    version: canister.version,
    ready_for_migration: false,
  };
}

function decode(type: IDL.Type, argument: Uint8Array): unknown {
  try {
    return IDL.decode([type], argument)[0];
  } catch (error) {
    throw failed("IC0408", `Error decoding candid: ${(error as Error).message}`);
  }
}

function controllersOf(settings: { controllers: [] | [Principal[]] } | undefined): Uint8Array[] | undefined {
  const given = settings?.controllers[0];
  if (given !== undefined && given.length > MAX_CONTROLLERS) {
    throw failed("IC0408", `Error decoding candid: a canister has at most ${MAX_CONTROLLERS} controllers`);
  }
  return given?.map((controller) => controller.toUint8Array());
}

function isController(canister: Canister, caller: Uint8Array): boolean {
  return canister.controllers.some((controller) => Buffer.compare(controller, caller) === 0);
}

function failed(errorCode: string, message: string): RejectError {
  return new RejectError(REJECT_CODE.canisterError, errorCode, message);
}
