/** Actions of a canister's controller that tests need and icfs does not have. */
import { Actor, type HttpAgent } from "@icp-sdk/core/agent";
import type { IDL } from "@icp-sdk/core/candid";
import { Principal } from "@icp-sdk/core/principal";

/** Candid of (null): the caller becomes the owner. */
const NOTHING = new Uint8Array(Buffer.from("4449444c00017f", "hex"));

/** Installs `wasm` from scratch: the canister loses all its data. */
export async function reinstall(agent: HttpAgent, canister: Principal, wasm: Uint8Array): Promise<void> {
  await managementOf(agent, canister).install_code!({
    mode: { reinstall: null },
    canister_id: canister,
    wasm_module: Uint8Array.from(wasm),
    arg: NOTHING,
  });
}

/** Sets for how many seconds its cycles must last. If they do not, it is frozen. */
export async function setFreezingThreshold(
  agent: HttpAgent,
  canister_id: Principal,
  seconds: bigint,
): Promise<void> {
  const settings = { freezing_threshold: [seconds] };
  await managementOf(agent, canister_id).update_settings!({ canister_id, settings });
}

/** Gives it cycles, which anybody can do on a test network. */
export async function topUp(agent: HttpAgent, canister_id: Principal, amount: bigint): Promise<void> {
  await managementOf(agent, canister_id).provisional_top_up_canister!({ canister_id, amount });
}

function managementOf(agent: HttpAgent, canister: Principal) {
  return Actor.createActor<Record<string, (argument: unknown) => Promise<void>>>(management, {
    agent,
    canisterId: Principal.managementCanister(),
    effectiveCanisterId: canister,
  });
}

const management: IDL.InterfaceFactory = ({ IDL }) =>
  IDL.Service({
    install_code: IDL.Func(
      [
        IDL.Record({
          mode: IDL.Variant({ reinstall: IDL.Null }),
          canister_id: IDL.Principal,
          wasm_module: IDL.Vec(IDL.Nat8),
          arg: IDL.Vec(IDL.Nat8),
        }),
      ],
      [],
      [],
    ),
    update_settings: IDL.Func(
      [
        IDL.Record({
          canister_id: IDL.Principal,
          settings: IDL.Record({ freezing_threshold: IDL.Opt(IDL.Nat) }),
        }),
      ],
      [],
      [],
    ),
    provisional_top_up_canister: IDL.Func(
      [IDL.Record({ canister_id: IDL.Principal, amount: IDL.Nat })],
      [],
      [],
    ),
  });
