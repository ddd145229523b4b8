/** icfs trust: which releases this host has accepted, and the way out when a canister was reinstalled on purpose. */
import { createHash } from "node:crypto";
import { Command, Option } from "commander";
import { UserError } from "../errors.ts";
import { parseCanisterId } from "../ic/agent.ts";
import { isMainNetwork, resolveNetwork, rootKeyOf } from "../ic/network.ts";
import { jsonLine, oneLine } from "../log.ts";
import { type AcceptedRelease, acceptedReleases, resetTrust } from "../source/icfs/accepted-releases.ts";
import { flag } from "./options.ts";

export function trustCommand(): Command {
  const command = new Command("trust").description("the releases that this host has accepted");
  command
    .command("show")
    .description(
      "print the newest accepted release of each canister: its id, number, header and network; and the last accepted record of each channel: id@name, release, record and network",
    )
    .addOption(
      flag(
        "--json",
        "print one object: accepted, each with canister, network, url, number, header, and channels, where there are any",
      ),
    )
    .action(show);
  command
    .command("reset")
    .description("forget a canister: the next release it shows is accepted, whatever was there before")
    .argument("<canister>", "canister id")
    .addOption(
      // Without a variable: who has set one for all commands has not said that the other networks' are to stay.
      new Option(
        "--network <network>",
        "only there: ic, local, a URL (one gateway's will do), or 16 digits, as `trust show` has it; default: on all networks",
      ),
    )
    .action(reset);
  return command;
}

async function show({ json }: { json?: boolean }): Promise<void> {
  const accepted = acceptedReleases();
  if (json) {
    console.log(jsonLine({ accepted }));
    return;
  }
  for (const one of accepted) {
    const network = await networkOf(one);
    console.log(oneLine(`${one.canister} ${one.number} ${one.header} ${network}`));
    for (const [name, { release = "deleted", record }] of Object.entries(one.channels ?? {})) {
      console.log(oneLine(`${one.canister}@${name} ${release} ${record} ${network}`));
    }
  }
}

async function reset(canister: string, { network }: { network?: string }): Promise<void> {
  const isMeant = network === undefined ? undefined : await isOn(network);
  const forgotten = await resetTrust(parseCanisterId(canister), isMeant);
  if (forgotten.length === 0) {
    const where = network === undefined ? "" : ` on ${network}; \`icfs trust show\` says on which it has`;
    throw new UserError(`this host has not accepted anything from ${canister}${where}`);
  }
  for (const one of forgotten) {
    const what = one === undefined ? "a damaged file" : `release ${one.number} on ${await networkOf(one)}`;
    console.log(oneLine(`forgot what was accepted of ${canister}: ${what}`));
  }
}

/** For resetTrust(): by the URL, by the root key of the IC, which has several, or by what `show` says of a network without one. @throws UserError */
async function isOn(given: string): Promise<(key: string, accepted: AcceptedRelease | undefined) => boolean> {
  if (/^[0-9a-f]{16}$/.test(given)) return (key) => key === given;
  const network = resolveNetwork(given);
  const main = isMainNetwork(network) ? sha256(await rootKeyOf(network, undefined)) : undefined;
  const isThere = (url: string) => url.split(",").some((one) => network.gateways.includes(one));
  return (key, accepted) =>
    (accepted?.url !== undefined && isThere(accepted.url)) || (main?.startsWith(key) ?? false);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** As --network has it, as far as that is known. */
async function networkOf({ url, network }: AcceptedRelease): Promise<string> {
  const known = ["ic", "local"].map(resolveNetwork).find((one) => one.url === url);
  if (known !== undefined || url !== undefined) return known?.name ?? url!;
  const main = await rootKeyOf(resolveNetwork("ic"), undefined);
  if (sha256(main) === network) return "ic";
  return `(network with the root key ${network.slice(0, 16)})`;
}
