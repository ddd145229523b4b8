/** Whether somebody may publish, asked before the work is done: the canister's own check comes with the last call of all. */
import { setTimeout as sleep } from "node:timers/promises";
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { UserError } from "../errors.ts";
import { controllersOf } from "../ic/controllers.ts";
import { type CanisterStatus, icfsCanister } from "../icfs-canister.ts";
import { refusalToRead, refusedSender } from "../refusals.ts";
import { LOOK_PAUSE_MS, LOOKS } from "./patience.ts";

/**
 * Asks the canister who may publish. What it does not say (an older one, a bad line) is left to its own check.
 *
 * @param agent signs as whoever is to publish
 * @returns what it says of itself besides; undefined when it does not say
 * @throws UserError when they may not
 */
export async function checkMayPublish(
  agent: HttpAgent,
  canister: Principal,
): Promise<CanisterStatus | undefined> {
  const caller = await agent.getPrincipal();
  // A role that was granted just now is not known to every node yet.
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

/** As canister/roles.mo has it. */
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
