/** icfs trust: shows which releases this host has accepted, and forgets them when a canister was reinstalled on purpose. */
import { createHash } from "node:crypto";
import { Command, Option } from "commander";
import { UserError } from "../errors.ts";
import { parseCanisterId } from "../ic/canister-id.ts";
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
    .description("forget a canister: its next release is accepted, whatever this host accepted before")
    .argument("<canister>", "canister id")
    .addOption(
      // This option has no variable: one that is set for all commands does not mean that only one network should be reset.
      new Option(
        "--network <network>",
        "only on this network: ic, local, the URL of one of its gateways, or 16 digits, as `trust show` prints them; default: on all networks",
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

/**
 * For resetTrust(): matches by URL, by root key for the IC, which has several URLs, or by the key that `show` prints for a
 * network without a URL.
 *
 * @throws UserError
 */
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

/** The network in the form of --network, if it is known. */
async function networkOf({ url, network }: AcceptedRelease): Promise<string> {
  const known = ["ic", "local"].map(resolveNetwork).find((one) => one.url === url);
  if (known !== undefined || url !== undefined) return known?.name ?? url!;
  const main = await rootKeyOf(resolveNetwork("ic"), undefined);
  if (sha256(main) === network) return "ic";
  return `(network with the root key ${network.slice(0, 16)})`;
}
