/**
 * What the local network's tests share: a network that ends with the test, canisters on it, and calls as a client
 * makes them, with @dfinity/agent and every check it has switched on.
 */
import {
  Actor,
  type ActorSubclass,
  type CertifiedRejectErrorCode,
  HttpAgent,
  type Identity,
  RejectError,
} from "@dfinity/agent";
import { IDL } from "@dfinity/candid";
import { Ed25519KeyIdentity } from "@dfinity/identity";
import { Principal } from "@dfinity/principal";
import { type LocalNetwork, type LocalNetworkOptions, startLocalNetwork } from "../../lib/localnet/index.ts";
import * as types from "../../lib/localnet/management-types.ts";

export const NO_ARGUMENT = new Uint8Array(IDL.encode([], []));
/** The `upgrade` mode that Motoko canisters need. */
export const KEEP = { upgrade: [{ skip_pre_upgrade: [], wasm_memory_persistence: [{ keep: null }] }] };
export const owner = Ed25519KeyIdentity.generate(new Uint8Array(32).fill(1));
export const stranger = Ed25519KeyIdentity.generate(new Uint8Array(32).fill(2));

/** Starts a network that is closed when the test ends. */
export async function startNetwork(
  t: { teardown(handler: () => Promise<void>): unknown },
  options: Partial<LocalNetworkOptions> = {},
): Promise<LocalNetwork> {
  const network = await startLocalNetwork({ port: 0, ...options });
  t.teardown(() => network.close());
  return network;
}

export function agentFor(network: LocalNetwork, identity: Identity = owner): Promise<HttpAgent> {
  return HttpAgent.create({ host: network.url, rootKey: network.rootKey, identity, retryTimes: 0 });
}

/** Actors' methods are known only at run time, and the tests' own assertions check what they return. */
// biome-ignore lint/suspicious/noExplicitAny: see above
export type AnyActor = ActorSubclass<Record<string, (...values: any[]) => Promise<any>>>;

export function management(agent: HttpAgent, canister = "lxzze-o7777-77777-aaaaa-cai"): AnyActor {
  return Actor.createActor(
    () =>
      IDL.Service({
        provisional_create_canister_with_cycles: IDL.Func([types.provisionalCreate], [types.onCanister], []),
        create_canister: IDL.Func([types.create], [types.onCanister], []),
        install_code: IDL.Func([types.installCode], [], []),
        install_chunked_code: IDL.Func([types.installChunkedCode], [], []),
        upload_chunk: IDL.Func([types.uploadChunk], [types.chunkHash], []),
        clear_chunk_store: IDL.Func([types.onCanister], [], []),
        stored_chunks: IDL.Func([types.onCanister], [types.chunkHashes], []),
        uninstall_code: IDL.Func([types.onCanister], [], []),
        update_settings: IDL.Func([types.updateSettings], [], []),
        start_canister: IDL.Func([types.onCanister], [], []),
        stop_canister: IDL.Func([types.onCanister], [], []),
        delete_canister: IDL.Func([types.onCanister], [], []),
        canister_status: IDL.Func([types.onCanister], [types.canisterStatus], []),
        provisional_top_up_canister: IDL.Func([types.topUp], [], []),
      }),
    { agent, canisterId: Principal.managementCanister(), effectiveCanisterId: Principal.fromText(canister) },
  );
}

/** Creates a canister and installs a module in it. */
export async function deploy(agent: HttpAgent, wasm: Uint8Array, specifiedId?: string): Promise<Principal> {
  const specified_id = specifiedId === undefined ? [] : [Principal.fromText(specifiedId)];
  const { canister_id } = await management(agent, specifiedId).provisional_create_canister_with_cycles!({
    amount: [],
    settings: [],
    specified_id,
  });
  await management(agent).install_code!({
    mode: { install: null },
    canister_id,
    wasm_module: wasm,
    arg: NO_ARGUMENT,
  });
  return canister_id;
}

export interface Rejection {
  code: number;
  message: string;
  errorCode: string | undefined;
  certified: boolean;
}

/** Awaits a call that must be rejected. */
export async function rejection(call: Promise<unknown>): Promise<Rejection> {
  try {
    await call;
  } catch (error) {
    // Not the error itself, should this fail: it would print its whole certificate.
    if (!(error instanceof RejectError)) throw new Error(`not a reject: ${(error as Error).message}`);
    const code = error.cause.code as CertifiedRejectErrorCode;
    return {
      code: code.rejectCode,
      message: code.rejectMessage,
      errorCode: code.rejectErrorCode,
      certified: code.isCertified,
    };
  }
  throw new Error("the call was not rejected");
}
