/** icfs revoke: takes a role away. */
import { Command } from "commander";
import { UserError } from "../errors.ts";
import { parsePrincipal } from "./addresses.ts";
import { checkOrder } from "./argument-order.ts";
import { signer } from "./calls.ts";
import { type NetworkOptions, OWN_IDENTITY, withNetwork } from "./options.ts";

export function revokeCommand(): Command {
  const command = new Command("revoke")
    .description("take away the role that somebody has on a canister; owners may")
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
  // Whatever the query said: it may be a little old.
  await explained(canister.revoke(who), deed);
  const had = before.find(([granted]) => granted.toText() === who.toText());
  if (had === undefined) {
    throw new UserError(
      `${who} had no role that can be revoked: owners are the canister's controllers and who installed it (\`icfs roles\`)`,
    );
  }
  const [role] = Object.keys(had[1]);
  console.log(`${who} was a ${role} of ${address.canister}, and has no role on it any more`);
}
