/** icfs identity: whose key signs. */
import { Command } from "commander";
import { defaultIdentity, loadIdentity } from "../ic/identity.ts";
import { option } from "./options.ts";

export function identityCommand(): Command {
  return new Command("identity")
    .description(
      "print the principal that deploys and publishes; makes the default identity when there is none",
    )
    .addOption(option("--identity <PEM>", "a private key, mode 0600; default: your own, made on first use"))
    .action(({ identity }: { identity?: string }) => {
      const signer = identity === undefined ? defaultIdentity() : loadIdentity(identity);
      console.log(signer.getPrincipal().toText());
    });
}
