/** icfs keep: marks a release that the canister must not drop. */
import { Command } from "commander";
import { parseReleaseNumber } from "./addresses.ts";
import { signer } from "./calls.ts";
import { type NetworkOptions, OWN_IDENTITY, withNetwork } from "./options.ts";

interface KeepOptions extends NetworkOptions {
  readonly no?: boolean;
}

export function keepCommand(): Command {
  const command = new Command("keep")
    .description("make a canister hold a release for good, however many follow it (owners only)")
    .argument("<canister>", "canister id")
    .argument("<release>", "its number (icfs releases)", parseReleaseNumber)
    .option("--no", "remove the mark: the canister's settings decide when the release goes");
  return withNetwork(command, OWN_IDENTITY).action(keep);
}

async function keep(canisterId: string, release: number, options: KeepOptions): Promise<void> {
  const { address, canister, explained } = await signer(canisterId, options);
  await explained(canister.keep(BigInt(release), options.no !== true), {
    what: options.no ? "take the mark away" : "keep the release",
    by: "owner",
  });
  const name = `release ${release} of ${address.canister}`;
  console.log(
    options.no
      ? `${name} is not kept any more: it goes when the settings say so (\`icfs configure ${address.canister}\`)`
      : `${name} is kept: the canister holds it for good`,
  );
}
