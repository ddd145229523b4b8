/** What tests do to a canister as its controller, and icfs does not. */
import { Actor, type HttpAgent } from "@dfinity/agent";
import type { IDL } from "@dfinity/candid";
import { Principal } from "@dfinity/principal";

/** Candid of (null): whoever installs owns. */
const NOTHING = new Uint8Array(Buffer.from("4449444c00017f", "hex"));

/** Installs `wasm` from scratch: everything that the canister had is gone. */
export async function reinstall(agent: HttpAgent, canister: Principal, wasm: Uint8Array): Promise<void> {
  const actor = Actor.createActor<Record<string, (argument: unknown) => Promise<void>>>(management, {
    agent,
    canisterId: Principal.managementCanister(),
    effectiveCanisterId: canister,
  });
  await actor.install_code!({
    mode: { reinstall: null },
    canister_id: canister,
    wasm_module: Uint8Array.from(wasm),
    arg: NOTHING,
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
  });
