/** Checks early whether somebody can publish: the canister's own check comes only with the last call. */
import { setTimeout as sleep } from "node:timers/promises";
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { UserError } from "../errors.ts";
import { controllersOf } from "../ic/controllers.ts";
import { type CanisterStatus, icfsCanister } from "../icfs-canister.ts";
import { refusalToRead, refusedSender } from "../refusals.ts";
import { LOOK_PAUSE_MS, LOOKS } from "./patience.ts";

/**
 * Asks the canister whether the agent's identity can publish. If it does not answer (it is too old, or the line is bad), its own
 * check decides later.
 *
 * @param agent signs as the publisher
 * @returns the canister's status; undefined when it does not answer
 * @throws UserError when the identity cannot publish
 */
export async function checkMayPublish(
  agent: HttpAgent,
  canister: Principal,
): Promise<CanisterStatus | undefined> {
  const caller = await agent.getPrincipal();
  // Not every node knows yet of a role that was just granted.
  for (let looks = 1; looks <= LOOKS; looks++) {
    const { may, status } = await mayPublish(agent, canister, caller).catch((error: unknown) => {
      if (error instanceof UserError) throw error;
      const refusal = refusalToRead(error, caller, canister);
      if (refusal !== undefined) throw new UserError(refusal);
      return { may: true, status: undefined };
    });
    if (may) return status;
    if (looks < LOOKS) await sleep(LOOK_PAUSE_MS);
  }
  throw refusedSender(caller, canister, { what: "publish", by: "publisher" });
}

/** The same rule as in canister/roles.mo. */
async function mayPublish(agent: HttpAgent, canister: Principal, caller: Principal) {
  const asked = icfsCanister(agent, canister);
  const [status, granted, controllers] = await Promise.all([
    asked.status(),
    asked.roles_granted(),
    controllersOf(agent, canister, agent.rootKey!),
  ]);
  const isCaller = (who: Principal) => who.toText() === caller.toText();
  const publishes = granted.some(([who, role]) => isCaller(who) && "publisher" in role);
  return { may: publishes || [status.owner, ...controllers].some(isCaller), status };
}
