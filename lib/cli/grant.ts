/** icfs grant: allows somebody to publish to a canister, or to read it when it is private. */
import { Argument, Command } from "commander";
import { UserError } from "../errors.ts";
import { promotersOf } from "../icfs-canister.ts";
import { withoutChannels } from "../refusals.ts";
import { parsePrincipal } from "./addresses.ts";
import { checkOrder } from "./argument-order.ts";
import { signer } from "./calls.ts";
import { type NetworkOptions, OWN_IDENTITY, withNetwork } from "./options.ts";

export function grantCommand(): Command {
  const command = new Command("grant")
    .description(
      "give a principal a role on a canister (owners only): publisher and reader replace each other, promoter is added to either",
    )
    .argument("<canister>", "canister id")
    .argument("<principal>", "whom: what `icfs identity` prints for them")
    .addArgument(
      new Argument(
        "<role>",
        "publishers publish, roll back and read; promoters move channels and read; readers read",
      ).choices(["publisher", "promoter", "reader"]),
    );
  return withNetwork(command, OWN_IDENTITY).action(grant);
}

async function grant(
  canisterId: string,
  principal: string,
  role: "publisher" | "promoter" | "reader",
  options: NetworkOptions,
): Promise<void> {
  checkOrder(canisterId, principal, (id, whom) => `icfs grant ${id} ${whom} ${role}`);
  const who = parsePrincipal(principal);
  const { address, canister, explained } = await signer(canisterId, options);
  const deed = { what: "grant roles", by: "owner" } as const;
  if (role === "promoter" && (await explained(promotersOf(canister), deed)) === undefined) {
    throw new UserError(withoutChannels(address.canister));
  }
  const granted =
    role === "publisher" ? { publisher: null } : role === "promoter" ? { promoter: null } : { reader: null };
  await explained(canister.grant(who, granted), deed);
  console.log(`${who} is a ${role} of ${address.canister} now`);
}
