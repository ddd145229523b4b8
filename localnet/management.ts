/** The management canister, `aaaaa-aa`: creates canisters, installs code, and checks permissions. */
import { randomBytes } from "node:crypto";
import { IDL } from "@icp-sdk/core/candid";
import { Principal } from "@icp-sdk/core/principal";
import type { Canister } from "./canister.ts";
import { statusOf } from "./canister-status.ts";
import { installMethods, requireControl } from "./management-install.ts";
import type { ManagementCall, ManagementHost, Method } from "./management-method.ts";
import * as types from "./management-types.ts";
import type { Variable } from "./message.ts";
import { canisterError, REJECT_CODE, RejectError } from "./response.ts";

export const MANAGEMENT_CANISTER = new Uint8Array();

/** A value of the type `settings`, decoded. */
interface Settings {
  readonly controllers: [] | [Principal[]];
  readonly environment_variables: [] | [Variable[]];
  readonly freezing_threshold: [] | [bigint];
}

/** A new canister's cycles by default: 100 T, which pay for a GiB for 25 years. */
const DEFAULT_CYCLES = 100_000_000_000_000n;
/** The IC's limit on a canister's controllers. */
const MAX_CONTROLLERS = 10;
/** The IC's limits on environment variables: how many, and the bytes of a name or a value. */
const MAX_VARIABLES = 20;
const MAX_VARIABLE_BYTES = 128;

export class ManagementCanister {
  readonly #host: ManagementHost;
  readonly #methods: Record<string, Method>;

  constructor(host: ManagementHost) {
    this.#host = host;
    this.#methods = methodsOn(host);
  }

  /**
   * Checks a user's call before it is accepted. The canister pays for calls that install code; the rest is free, so that
   * a frozen canister can be inspected, and fixed.
   *
   * @param cost the price of accepting it
   * @throws RejectError
   */
  inspect(call: ManagementCall, cost: bigint): void {
    const { method, argument } = this.#prepare(call);
    if (method.paid !== true) return;
    const { account } = this.#host.canister(canisterIn(argument).toUint8Array());
    account.requireCycles(cost);
    account.charge(cost);
  }

  /**
   * Executes a call.
   *
   * @returns the reply, in Candid, and the cycles that go back to the caller
   * @throws RejectError
   */
  async execute(call: ManagementCall): Promise<{ reply: Uint8Array; refund: bigint }> {
    const { method, argument } = this.#prepare(call);
    const result = await method.run(argument, call);
    const reply = method.result === undefined ? IDL.encode([], []) : IDL.encode([method.result], [result]);
    return { reply, refund: method.keepsCycles === true ? 0n : call.cycles };
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
    if (method.callers === "controllers" || method.callers === "controllers and itself") {
      requireControl(
        this.#host.canister(canisterIn(argument).toUint8Array()),
        call,
        method.callers === "controllers and itself",
      );
    }
    return { method, argument };
  }
}

function methodsOn(host: ManagementHost): Record<string, Method> {
  const find = (id: Principal) => host.canister(id.toUint8Array());
  const create = (given: Settings | undefined, caller: Uint8Array, cycles: bigint, id?: Uint8Array) => {
    const { controllers, variables, freezingThreshold } = settingsOf(given);
    const canister = host.createCanister(controllers ?? [caller], cycles, id);
    if (variables !== undefined || freezingThreshold !== undefined) {
      canister.variables = variables ?? canister.variables;
      canister.account.freezingThreshold = freezingThreshold ?? canister.account.freezingThreshold;
      canister.save();
    }
    return canister;
  };
  return {
    ...installMethods(host),
    provisional_create_canister_with_cycles: {
      argument: types.provisionalCreate,
      result: types.onCanister,
      callers: "anyone",
      run({ amount, settings, specified_id }, { caller }) {
        const id = specified_id[0]?.toUint8Array();
        const canister = create(settings[0], caller, amount[0] ?? DEFAULT_CYCLES, id);
        return { canister_id: Principal.fromUint8Array(canister.id) };
      },
    },
    create_canister: {
      argument: types.create,
      result: types.onCanister,
      callers: "canisters",
      keepsCycles: true,
      run({ settings }, { caller, cycles }) {
        const canister = create(settings[0], caller, cycles, undefined);
        return { canister_id: Principal.fromUint8Array(canister.id) };
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
        const { controllers, variables, freezingThreshold } = settingsOf(settings);
        canister.controllers = controllers ?? canister.controllers;
        canister.variables = variables ?? canister.variables;
        canister.account.freezingThreshold = freezingThreshold ?? canister.account.freezingThreshold;
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
          throw canisterError("IC0510", `Canister ${canister.text} must be stopped before it is deleted.`);
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
      keepsCycles: true,
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

/** The canister that a call is about. */
function canisterIn(argument: unknown): Principal {
  const about = argument as { canister_id: Principal } | { target_canister: Principal };
  return "canister_id" in about ? about.canister_id : about.target_canister;
}

function addCycles(canister: Canister, cycles: bigint): void {
  canister.account.add(cycles);
  canister.save();
}

function decode(type: IDL.Type, argument: Uint8Array): unknown {
  try {
    return IDL.decode([type], argument)[0];
  } catch (error) {
    throw canisterError("IC0408", `Error decoding candid: ${(error as Error).message}`);
  }
}

/** Reads the settings that the local network supports. @throws RejectError when the IC would refuse them */
function settingsOf(settings: Settings | undefined): {
  controllers?: Uint8Array[];
  variables?: Variable[];
  freezingThreshold?: bigint;
} {
  const invalid = (problem: string) => canisterError("IC0408", `Error decoding candid: ${problem}`);
  const controllers = settings?.controllers[0]?.map((controller) => controller.toUint8Array());
  if ((controllers?.length ?? 0) > MAX_CONTROLLERS)
    throw invalid(`a canister has at most ${MAX_CONTROLLERS} controllers`);
  const variables = settings?.environment_variables[0];
  if ((variables?.length ?? 0) > MAX_VARIABLES)
    throw invalid(`a canister has at most ${MAX_VARIABLES} environment variables`);
  if (new Set(variables?.map(({ name }) => name)).size < (variables?.length ?? 0))
    throw invalid("an environment variable is given twice");
  for (const text of variables?.flatMap(({ name, value }) => [name, value]) ?? []) {
    if (Buffer.byteLength(text) > MAX_VARIABLE_BYTES)
      throw invalid(`an environment variable's name or value is longer than ${MAX_VARIABLE_BYTES} bytes`);
  }
  const freezingThreshold = settings?.freezing_threshold[0];
  if ((freezingThreshold ?? 0n) >= 1n << 64n)
    throw invalid("a freezing threshold must be less than 2^64 seconds");
  return { controllers, variables, freezingThreshold };
}
