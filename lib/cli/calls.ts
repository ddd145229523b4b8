/** A canister's own interface, for the commands of those who have a role on it. */
import type { HttpAgent } from "@icp-sdk/core/agent";
import { createAgent } from "../ic/agent.ts";
import { type IcfsCanister, icfsCanister } from "../icfs-canister.ts";
import { type Deed, explained } from "../refusals.ts";
import type { CanisterAddress } from "../source/address.ts";
import { canisterAddressOf, REQUEST_TIMEOUT_MS } from "./addresses.ts";
import type { NetworkOptions } from "./options.ts";
import { signingIdentity } from "./signer.ts";

export interface Caller {
  readonly address: CanisterAddress;
  /** Checks what nodes sign, because what the canister says of itself is not certified. */
  readonly agent: HttpAgent;
  readonly canister: IcfsCanister;
  /** Waits for a call. @throws UserError in place of the agent's errors */
  explained<T>(work: Promise<T>, deed: Deed): Promise<T>;
}

/** To ask: with the identity that is given, else as nobody in particular. @throws UserError */
export async function reader(canisterId: string, options: NetworkOptions): Promise<Caller> {
  return callerAt(await canisterAddressOf(canisterId, options));
}

/** To change something: with the identity that is given, else the user's own. @throws UserError */
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
