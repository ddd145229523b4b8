/** The management canister's methods that a deployment needs (IC interface specification, "The IC management canister"). */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { IDL } from "@icp-sdk/core/candid";
import { Principal } from "@icp-sdk/core/principal";
import { actorOf } from "./actor.ts";

const MANAGEMENT_CANISTER = Principal.fromText("aaaaa-aa");

interface Management {
  provisional_create_canister_with_cycles(request: {
    amount: [];
    settings: [];
    specified_id: [] | [Principal];
    sender_canister_version: [];
  }): Promise<{ canister_id: Principal }>;
  install_code(request: {
    mode:
      | { install: null }
      | { reinstall: null }
      | { upgrade: [{ wasm_memory_persistence: [{ keep: null }]; skip_pre_upgrade: [] }] };
    canister_id: Principal;
    wasm_module: Uint8Array;
    arg: Uint8Array;
    sender_canister_version: [];
  }): Promise<void>;
  /** Only controllers may call it. Of its reply, only these fields are decoded. */
  canister_status(request: { canister_id: Principal }): Promise<{
    readonly module_hash: [] | [Uint8Array];
    readonly cycles: bigint;
    readonly idle_cycles_burned_per_day: bigint;
    readonly settings: { readonly freezing_threshold: bigint };
  }>;
}

/** Requests to create a canister go to the subnet that holds this one: the IC's first canister, and any local network's. */
const SOME_CANISTER = Principal.fromText("rwlgt-iiaaa-aaaaa-aaaaa-cai");

/**
 * The management canister for requests about `canister`, through the subnet that holds it.
 * @param canister undefined when it is yet to be created
 */
export function managementCanister(agent: HttpAgent, canister?: Principal): Management {
  return actorOf<Management>(managementInterface, {
    agent,
    canisterId: MANAGEMENT_CANISTER,
    effectiveCanisterId: canister ?? SOME_CANISTER,
  });
}

const managementInterface: IDL.InterfaceFactory = ({ IDL }) => {
  const about = { canister_id: IDL.Principal };
  const settings = IDL.Record({ controllers: IDL.Opt(IDL.Vec(IDL.Principal)) });
  const upgrade = IDL.Opt(
    IDL.Record({
      skip_pre_upgrade: IDL.Opt(IDL.Bool),
      wasm_memory_persistence: IDL.Opt(IDL.Variant({ keep: IDL.Null, replace: IDL.Null })),
    }),
  );
  return IDL.Service({
    provisional_create_canister_with_cycles: IDL.Func(
      [
        IDL.Record({
          amount: IDL.Opt(IDL.Nat),
          settings: IDL.Opt(settings),
          specified_id: IDL.Opt(IDL.Principal),
          sender_canister_version: IDL.Opt(IDL.Nat64),
        }),
      ],
      [IDL.Record(about)],
      [],
    ),
    install_code: IDL.Func(
      [
        IDL.Record({
          ...about,
          mode: IDL.Variant({ install: IDL.Null, reinstall: IDL.Null, upgrade }),
          wasm_module: IDL.Vec(IDL.Nat8),
          arg: IDL.Vec(IDL.Nat8),
          sender_canister_version: IDL.Opt(IDL.Nat64),
        }),
      ],
      [],
      [],
    ),
    canister_status: IDL.Func(
      [IDL.Record(about)],
      [
        IDL.Record({
          module_hash: IDL.Opt(IDL.Vec(IDL.Nat8)),
          cycles: IDL.Nat,
          idle_cycles_burned_per_day: IDL.Nat,
          settings: IDL.Record({ freezing_threshold: IDL.Nat }),
        }),
      ],
      [],
    ),
  });
};
