/** A canister's methods by its interface, with Candid from and to the agent's own decoder: for those who trust the canister. */
import { Actor, type HttpAgent } from "@dfinity/agent";
import type { IDL } from "@dfinity/candid";
import type { Principal } from "@dfinity/principal";
import { fromCall } from "./agent-error.ts";

interface Config {
  readonly agent: HttpAgent;
  readonly canisterId: Principal;
  /** Through whose subnet the management canister is called. */
  readonly effectiveCanisterId?: Principal;
}

/** Its methods, whose failures are those of call-errors.ts, and not the agent's. */
export function actorOf<Methods extends object>(candid: IDL.InterfaceFactory, config: Config): Methods {
  const { agent, canisterId, effectiveCanisterId: canister = canisterId } = config;
  const actor = Actor.createActor<Record<string, (...args: unknown[]) => Promise<unknown>>>(candid, config);
  const methods = Object.entries(actor).map(([name, method]) => [
    name,
    async (...args: unknown[]) => {
      try {
        return await method(...args);
      } catch (error) {
        throw fromCall(error, { agent, canister });
      }
    },
  ]);
  return Object.fromEntries(methods);
}
