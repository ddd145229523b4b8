/** icfs trust: which releases this host has accepted, and the way out when a canister was reinstalled on purpose. */
import { Command } from "commander";
import { UserError } from "../errors.ts";
import { parseCanisterId } from "../ic/agent.ts";
import { acceptedReleases, resetTrust } from "../source/icfs/accepted-releases.ts";
import { flag } from "./options.ts";

export function trustCommand(): Command {
  const command = new Command("trust").description("the releases that this host has accepted");
  command
    .command("show")
    .description("print the newest accepted release of each canister")
    .addOption(flag("--json", "print one object: accepted"))
    .action(({ json }: { json?: boolean }) => {
      const accepted = acceptedReleases();
      if (json) console.log(JSON.stringify({ accepted }));
      else
        for (const { canister, number, header } of accepted) console.log(`${canister} ${number} ${header}`);
    });
  command
    .command("reset")
    .description("forget a canister: the next release it shows is accepted, whatever was there before")
    .argument("<canister>", "canister id")
    .action((canister: string) => {
      if (!resetTrust(parseCanisterId(canister))) {
        throw new UserError(`this host has not accepted anything from ${canister}`);
      }
    });
  return command;
}
