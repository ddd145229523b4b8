/** icfs identity: shows whose key signs. */
import { Command } from "commander";
import { IDENTITY_ARGUMENT, type NetworkOptions, OWN_IDENTITY, option, passphraseOption } from "./options.ts";
import { signingIdentity } from "./signer.ts";

export function identityCommand(): Command {
  return new Command("identity")
    .description(
      "print the principal that deploys and publishes; makes the default identity when there is none",
    )
    .addOption(option("--identity <PEM>", `${IDENTITY_ARGUMENT}; default: ${OWN_IDENTITY}`))
    .addOption(passphraseOption())
    .action(async (options: Pick<NetworkOptions, "identity" | "identityPassphraseFile">) => {
      console.log((await signingIdentity(options)).getPrincipal().toText());
    });
}
