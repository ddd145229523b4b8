/**
 * Shared by the local network's tests: a network that ends with the test, canisters on it, and calls as a client
 * makes them, with @icp-sdk/core and every check it has switched on.
 */
import {
  Actor,
  type ActorSubclass,
  Certificate,
  type CertifiedRejectErrorCode,
  HttpAgent,
  type Identity,
  RejectError,
} from "@icp-sdk/core/agent";
import { IDL } from "@icp-sdk/core/candid";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import { Principal } from "@icp-sdk/core/principal";
import { type LocalNetwork, type LocalNetworkOptions, startLocalNetwork } from "../../localnet/index.ts";
import * as types from "../../localnet/management-types.ts";

export const NO_ARGUMENT = new Uint8Array(IDL.encode([], []));
/** The `upgrade` mode that Motoko canisters need. */
export const KEEP = { upgrade: [{ skip_pre_upgrade: [], wasm_memory_persistence: [{ keep: null }] }] };
/** Settings with these controllers, and no others. */
export const controlledBy = (...controllers: Principal[]) => ({
  controllers: [controllers],
  environment_variables: [],
  freezing_threshold: [],
});
/** Settings with this freezing threshold, in seconds, and nothing else changed. */
export const freezingAfter = (seconds: bigint) => ({
  controllers: [],
  environment_variables: [],
  freezing_threshold: [seconds],
});
export const owner = Ed25519KeyIdentity.generate(new Uint8Array(32).fill(1));
export const stranger = Ed25519KeyIdentity.generate(new Uint8Array(32).fill(2));

/** The id of the first canister that a network makes. */
const FIRST_CANISTER = "lxzze-o7777-77777-aaaaa-cai";

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

export function management(agent: HttpAgent, canister = FIRST_CANISTER): AnyActor {
  return Actor.createActor(managementService, {
    agent,
    canisterId: Principal.managementCanister(),
    effectiveCanisterId: Principal.fromText(canister),
  });
}

const managementService = () =>
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
  });

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

/** Calls a query method whose argument and reply are bytes, not Candid. @throws Error with the reject's code and message */
export async function queryBytes(
  agent: HttpAgent,
  id: Principal,
  methodName: string,
  argument: string | Uint8Array = NO_ARGUMENT,
): Promise<Buffer> {
  const answer = await agent.query(id, { methodName, arg: new Uint8Array(Buffer.from(argument)) });
  if (answer.status !== "replied") throw new Error(`${answer.error_code}: ${answer.reject_message}`);
  return Buffer.from(answer.reply.arg);
}

/** Calls an update method whose argument and reply are bytes; the reply is verified. @throws Error with the reject's code and message */
export async function updateBytes(
  agent: HttpAgent,
  id: Principal,
  methodName: string,
  argument: string | Uint8Array = NO_ARGUMENT,
): Promise<Buffer> {
  const arg = new Uint8Array(Buffer.from(argument));
  const { response, requestId } = await agent.call(id, { methodName, arg });
  const body = response.body as {
    certificate?: Uint8Array;
    reject_message?: string;
    error_code?: string;
  } | null;
  if (body?.certificate === undefined) throw new Error(`${body?.error_code}: ${body?.reject_message}`);
  const certificate = await Certificate.create({
    certificate: body.certificate,
    rootKey: agent.rootKey!,
    principal: { canisterId: id },
  });
  const value = (name: string) => {
    const path = [Buffer.from("request_status"), requestId, Buffer.from(name)];
    const found = certificate.lookup_path(path.map((label) => new Uint8Array(label)));
    return found.status === "Found" ? Buffer.from(found.value) : undefined;
  };
  const reply = value("reply");
  if (reply === undefined) throw new Error(`${value("error_code")}: ${value("reject_message")}`);
  return reply;
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
    // Should this fail, the error itself would print its whole certificate.
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
