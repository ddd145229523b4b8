/** A canister's methods by its interface, with Candid from and to the agent's own decoder: for those who trust the canister. */
import { Actor, type ActorConfig } from "@dfinity/agent";
import type { IDL } from "@dfinity/candid";
import { fromAgent } from "./agent-error.ts";

/** Its methods, whose failures are those of call-errors.ts, and not the agent's. */
export function actorOf<Methods extends object>(candid: IDL.InterfaceFactory, config: ActorConfig): Methods {
  const actor = Actor.createActor<Record<string, (...args: unknown[]) => Promise<unknown>>>(candid, config);
  const methods = Object.entries(actor).map(([name, method]) => [
    name,
    async (...args: unknown[]) => {
      try {
        return await method(...args);
      } catch (error) {
        throw fromAgent(error);
      }
    },
  ]);
  return Object.fromEntries(methods);
}
