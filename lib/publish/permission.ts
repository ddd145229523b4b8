/** Whether somebody may publish, asked before the work is done: the canister's own check comes with the last call of all. */
import { setTimeout as sleep } from "node:timers/promises";
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { UserError } from "../errors.ts";
import { controllersOf } from "../ic/controllers.ts";
import { icfsCanister } from "../icfs-canister.ts";
import { refusalToRead, refusedSender } from "../refusals.ts";
import { LOOK_PAUSE_MS, LOOKS } from "./patience.ts";

/**
 * Asks the canister who may publish. What it does not say (an older one, a bad line) is left to its own check.
 *
 * @param agent signs as whoever is to publish
 * @throws UserError when they may not
 */
export async function checkMayPublish(agent: HttpAgent, canister: Principal): Promise<void> {
  const caller = await agent.getPrincipal();
  // A role that was granted just now is not known to every node yet.
  for (let looks = 1; looks <= LOOKS; looks++) {
    const may = await mayPublish(agent, canister, caller).catch((error: unknown) => {
      if (error instanceof UserError) throw error;
      const refusal = refusalToRead(error, caller, canister);
      if (refusal !== undefined) throw new UserError(refusal);
      return true;
    });
    if (may) return;
    if (looks < LOOKS) await sleep(LOOK_PAUSE_MS);
  }
  throw refusedSender(caller, canister, { what: "publish", by: "publisher" });
}

/** As canister/roles.mo has it. */
async function mayPublish(agent: HttpAgent, canister: Principal, caller: Principal): Promise<boolean> {
  const asked = icfsCanister(agent, canister);
  const [{ owner }, granted, controllers] = await Promise.all([
    asked.status(),
    asked.roles_granted(),
    controllersOf(agent, canister, agent.rootKey!),
  ]);
  const isCaller = (who: Principal) => who.toText() === caller.toText();
  const publishes = granted.some(([who, role]) => isCaller(who) && "publisher" in role);
  return publishes || [owner, ...controllers].some(isCaller);
}
