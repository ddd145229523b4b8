/** A canister's own methods, for commands that need a role. */
import type { HttpAgent } from "@icp-sdk/core/agent";
import { createAgent } from "../ic/agent.ts";
import { type IcfsCanister, icfsCanister } from "../icfs-canister.ts";
import { type Deed, explained } from "../refusals.ts";
import type { CanisterAddress } from "../source/address.ts";
import { canisterAddressOf, REQUEST_TIMEOUT_MS } from "./connect.ts";
import type { NetworkOptions } from "./options.ts";
import { signingIdentity } from "./signer.ts";

export interface Caller {
  readonly address: CanisterAddress;
  /** Checks the nodes' signatures, because a canister's report about itself is not certified. */
  readonly agent: HttpAgent;
  readonly canister: IcfsCanister;
  /** Waits for a call, and translates the agent's errors. @throws UserError */
  explained<T>(work: Promise<T>, deed: Deed): Promise<T>;
}

/** For queries: signs with the given identity, otherwise as the anonymous one. @throws UserError */
export async function reader(canisterId: string, options: NetworkOptions): Promise<Caller> {
  return callerAt(await canisterAddressOf(canisterId, options));
}

/** For changes: signs with the given identity, otherwise the user's own. @throws UserError */
export async function signer(canisterId: string, options: NetworkOptions): Promise<Caller> {
  const address = await canisterAddressOf(canisterId, options);
  return callerAt({ ...address, identity: address.identity ?? (await signingIdentity(options)) });
}

function callerAt(address: CanisterAddress): Caller {
  const agent = createAgent({ ...address, verifyQuerySignatures: true, requestTimeout: REQUEST_TIMEOUT_MS });
  return {
    address,
    agent,
    canister: icfsCanister(agent, address.canister),
    explained: (work, deed) => explained(work, agent, address.canister, deed),
  };
}
