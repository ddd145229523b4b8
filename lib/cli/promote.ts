/** icfs promote: points a channel at a release, or at the release of another channel. */
import { Command, InvalidArgumentError } from "commander";
import { UserError } from "../errors.ts";
import { jsonLine } from "../log.ts";
import { patientReader } from "../publish/patience.ts";
import { openReader, releaseBelow } from "../source/icfs/open-release.ts";
import { isChannelName } from "../tree/channel.ts";
import { parseReleaseNumber } from "./addresses.ts";
import { signer } from "./calls.ts";
import { type Channels, changeChannel, channelsOf, parseChannelName } from "./change-channel.ts";
import { REQUEST_TIMEOUT_MS } from "./connect.ts";
import { flag, type NetworkOptions, OWN_IDENTITY, option, withNetwork } from "./options.ts";

interface PromoteOptions extends NetworkOptions {
  readonly note?: string;
  readonly json?: boolean;
}

/** A release's number, or a channel. */
type From = number | string;

export function promoteCommand(): Command {
  const command = new Command("promote")
    .description(
      "point a channel to a release, newer or older, and make the channel if it does not exist (promoters and owners)",
    )
    .argument("<canister>", "canister id")
    .argument(
      "<from>",
      "a release's number (icfs releases), or a channel: what that stands for now",
      parseFrom,
    )
    .argument("<to>", "the channel", parseChannelName)
    .addOption(option("--note <text>", "kept with the channel's history, at most 1024 bytes; default: none"))
    .addOption(flag("--json", "print one object: channel, serial, release, header, before, changed"));
  return withNetwork(command, OWN_IDENTITY).action(promote);
}

/** @throws InvalidArgumentError */
function parseFrom(text: string): From {
  if (isChannelName(text)) return text;
  if (/^\d+$/.test(text)) return parseReleaseNumber(text);
  throw new InvalidArgumentError("Use a release's number, from 1, or a channel's name.");
}

async function promote(
  canisterId: string,
  from: From,
  name: string,
  { note = "", json, ...options }: PromoteOptions,
): Promise<void> {
  const caller = await signer(canisterId, options);
  const { address } = caller;
  const channels = await channelsOf(address);
  const number = typeof from === "number" ? from : standsFor(channels, from);
  const last = channels.records.get(name);
  const before = last?.record.release?.number;
  const source = patientReader(openReader(address, REQUEST_TIMEOUT_MS));
  const { hash } = await releaseBelow(channels.head, { ...address, release: number }, source);
  const changed = before !== number;
  const serial = changed ? await changeChannel(caller, { name, last, number, note }) : last!.record.serial;
  if (json) {
    const result = { channel: name, serial, release: number, header: hash.toString("hex"), before, changed };
    console.log(jsonLine(result));
    return;
  }
  const was = before === undefined ? "" : `; until now it stood for release ${before}`;
  console.log(
    changed
      ? `${name} of ${address.canister} stands for release ${number} (record ${serial})${was}`
      : `${name} of ${address.canister} stands for release ${number} already (record ${serial}): nothing was done`,
  );
}

/** @throws UserError when there is no such channel */
function standsFor({ records }: Channels, name: string): number {
  const release = records.get(name)?.record.release;
  if (release !== undefined) return release.number;
  const names = [...records.values()].flatMap(({ record }) => (record.release ? [record.name] : []));
  throw new UserError(
    `there is no channel ${name} to promote from: ${names.length === 0 ? "there are none" : `there are ${names.sort().join(", ")}`}`,
  );
}
