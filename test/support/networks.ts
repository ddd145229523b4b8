/** Starts a local network in the test's own process, and installs canisters through the management canister. */
import type { HttpAgent, SignIdentity } from "@icp-sdk/core/agent";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import type { Principal } from "@icp-sdk/core/principal";
import type { Test } from "tap";
import { messageOf } from "../../lib/errors.ts";
import { createAgent, NO_ARGUMENTS } from "../../lib/ic/agent.ts";
import { managementCanister } from "../../lib/ic/management.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { retrying } from "../../lib/retry.ts";
import { type LocalNetwork, type LocalNetworkOptions, startLocalNetwork } from "../../localnet/index.ts";
import { TEST_API } from "./api.ts";

/** Milliseconds for one request of the tests' own agents. */
export const REQUEST_TIMEOUT = 60_000;
/** Milliseconds for one message. A large one takes seconds even on a quiet machine. */
export const MESSAGE_TIME_LIMIT = 120_000;

/** Candid for the icfs canister, which is installed without arguments, or with a null. */
export const NO_INSTALL_ARGUMENTS = Buffer.from("4449444c00017f", "hex");

export interface EmptyNetwork {
  readonly url: string;
  readonly rootKey: Uint8Array;
  /** Signs as the owner of installed canisters. */
  readonly agent: HttpAgent;
  readonly identity: SignIdentity;
  /** An agent for another identity. */
  agentFor(identity?: SignIdentity): HttpAgent;
  /** Installs `wasm` in a new canister. */
  install(wasm: Uint8Array, args?: Uint8Array): Promise<Principal>;
  /** Upgrades a canister, or reinstalls it without its data. */
  replace(canister: Principal, mode: "upgrade" | "reinstall", wasm: Uint8Array): Promise<void>;
}

/** Starts a network that ends with the test. @param identity owns what is installed; default: a new one */
export async function startEmptyNetwork(
  t: Test,
  options: Partial<LocalNetworkOptions> = {},
  identity: SignIdentity = Ed25519KeyIdentity.generate(),
): Promise<EmptyNetwork> {
  const network: LocalNetwork = await startLocalNetwork({
    port: 0,
    messageTimeLimit: MESSAGE_TIME_LIMIT,
    ...TEST_API,
    ...options,
  });
  t.teardown(() => network.close());
  const agentFor = (signer?: SignIdentity) =>
    createAgent({
      network: resolveNetwork(network.url),
      rootKey: network.rootKey,
      requestTimeout: REQUEST_TIMEOUT,
      verifyQuerySignatures: true,
      ...(signer === undefined ? {} : { identity: signer }),
    });
  const agent = agentFor(identity);
  return {
    url: network.url,
    rootKey: network.rootKey,
    agent,
    identity,
    agentFor,
    install: (wasm, args) => installCanister(agent, wasm, args),
    replace: (canister, mode, wasm) => replaceCanister(agent, canister, mode, wasm),
  };
}

/** Installs `wasm` in a new canister that `agent`'s identity controls. */
export async function installCanister(
  agent: HttpAgent,
  wasm: Uint8Array,
  args: Uint8Array = new Uint8Array(NO_ARGUMENTS),
): Promise<Principal> {
  const { canister_id } = await managementCanister(agent).provisional_create_canister_with_cycles({
    amount: [],
    settings: [],
    specified_id: [],
    sender_canister_version: [],
  });
  await managementCanister(agent, canister_id).install_code({
    mode: { install: null },
    canister_id,
    wasm_module: wasm,
    arg: args,
    sender_canister_version: [],
  });
  return canister_id;
}

/** Upgrades a canister, or reinstalls it without its data. */
export async function replaceCanister(
  agent: HttpAgent,
  canister_id: Principal,
  mode: "upgrade" | "reinstall",
  wasm: Uint8Array,
): Promise<void> {
  const replaced = () =>
    managementCanister(agent, canister_id).install_code({
      mode:
        mode === "reinstall"
          ? { reinstall: null }
          : { upgrade: [{ wasm_memory_persistence: [{ keep: null }], skip_pre_upgrade: [] }] },
      canister_id,
      wasm_module: wasm,
      arg: NO_INSTALL_ARGUMENTS,
      sender_canister_version: [],
    });
  // During a timer's call Motoko allows no upgrade; `icfs deploy` retries as well. How long that call takes is up to the machine.
  const isBusy = (error: unknown) => /outstanding message callbacks/.test(messageOf(error));
  await retrying(replaced, {
    firstPause: 50,
    longestPause: 500,
    again: isBusy,
  });
}
