/** icfs revoke: removes all roles of a principal. */
import type { Principal } from "@icp-sdk/core/principal";
import { Command } from "commander";
import { UserError } from "../errors.ts";
import { promotersOf } from "../icfs-canister.ts";
import { parsePrincipal } from "./addresses.ts";
import { checkOrder } from "./argument-order.ts";
import { signer } from "./calls.ts";
import { type NetworkOptions, OWN_IDENTITY, withNetwork } from "./options.ts";

export function revokeCommand(): Command {
  const command = new Command("revoke")
    .description("take all roles on a canister away from a principal (owners only)")
    .argument("<canister>", "canister id")
    .argument("<principal>", "whose");
  return withNetwork(command, OWN_IDENTITY).action(revoke);
}

async function revoke(canisterId: string, principal: string, options: NetworkOptions): Promise<void> {
  checkOrder(canisterId, principal, (id, whom) => `icfs revoke ${id} ${whom}`);
  const who = parsePrincipal(principal);
  const { address, canister, explained } = await signer(canisterId, options);
  const deed = { what: "revoke roles", by: "owner" } as const;
  const before = await explained(canister.roles_granted(), deed);
  const promoters = (await explained(promotersOf(canister), deed)) ?? [];
  // Regardless of the query, which may be slightly old.
  await explained(canister.revoke(who), deed);
  const isWho = (granted: Principal) => granted.toText() === who.toText();
  const had = [
    ...before.filter(([granted]) => isWho(granted)).flatMap(([, role]) => Object.keys(role)),
    ...(promoters.some(isWho) ? ["promoter"] : []),
  ];
  if (had.length === 0) {
    throw new UserError(
      `${who} had no role that can be revoked: owners are the canister's controllers and whoever installed it (\`icfs roles\`)`,
    );
  }
  console.log(`${who} was a ${had.join(" and a ")} of ${address.canister}, and has no role on it any more`);
}
