/**
 * icfs channel: shows a canister's channels, each with its release, since when, and by whom; shows a channel's history; deletes
 * channels.
 */
import { Principal } from "@icp-sdk/core/principal";
import { Command } from "commander";
import { UsageError } from "../errors.ts";
import { jsonLine, oneLine } from "../log.ts";
import { recordsBefore } from "../source/icfs/channel-history.ts";
import { absent } from "../source/icfs/channels.ts";
import { decodeHeaders } from "../source/icfs/header-list.ts";
import type { VerifiedRecord } from "../source/icfs/release-reader.ts";
import { type Caller, reader, signer } from "./calls.ts";
import { changeChannel, channelsOf, parseChannelName } from "./change-channel.ts";
import { flag, isGiven, type NetworkOptions, OWN_IDENTITY, option, withNetwork } from "./options.ts";

interface ChannelOptions extends NetworkOptions {
  readonly history?: boolean;
  readonly delete?: boolean;
  readonly note?: string;
  readonly json?: boolean;
}

/** A record, as --json prints it. */
interface Described {
  readonly channel: string;
  readonly serial: number;
  /** Absent: the channel was deleted. */
  readonly release?: number;
  /** SHA-256 of the release's header, in hexadecimal. */
  readonly header?: string;
  readonly setBy: string;
  readonly setAt: string;
  readonly note: string;
}

export function channelCommand(): Command {
  const command = new Command("channel")
    .description(
      "list a canister's channels, which are names for releases (icfs promote moves them): what each points to, since when, and who set it; certified with the newest release",
    )
    .argument("<canister>", "canister id")
    .argument("[name]", "only this channel", parseChannelName)
    .addOption(
      flag(
        "--history",
        "everything that the channel has pointed to, newest first, each record proved by the later ones",
      ).conflicts("delete"),
    )
    .addOption(
      flag("--delete", "delete the channel; its name, serials and history stay (promoters and owners)"),
    )
    .addOption(option("--note <text>", "with --delete: kept with the channel's history, at most 1024 bytes"))
    .addOption(
      flag(
        "--json",
        "print one object: channels (with --history records), each with channel, serial, release, header, setBy, setAt, note; without release when it was deleted. With --delete: channel, serial",
      ),
    );
  return withNetwork(command, `none, anonymous; with --delete ${OWN_IDENTITY}`).action(channel);
}

async function channel(
  canisterId: string,
  name: string | undefined,
  options: ChannelOptions,
  command: Command,
): Promise<void> {
  const ofOne = isGiven(command, "history")
    ? "--history"
    : isGiven(command, "delete")
      ? "--delete"
      : undefined;
  if (name === undefined && ofOne !== undefined) {
    throw new UsageError(`name the channel: icfs channel ${canisterId} NAME ${ofOne}`);
  }
  // ICFS_NOTE may be set for `icfs publish` and others.
  if (isGiven(command, "note") && !options.delete) throw new UsageError("--note is for --delete");
  if (name !== undefined && options.delete) return deleteChannel(canisterId, name, options);
  const caller = await reader(canisterId, options);
  const { records } = await channelsOf(caller.address);
  if (name !== undefined && options.history) {
    const list = await historyOf(caller, records.get(name), name);
    print(list, "records", options);
    return;
  }
  const list = [...records.values()].filter(({ record }) => record.release !== undefined);
  const meant = list.filter(({ record }) => name === undefined || record.name === name);
  if (name !== undefined && meant.length === 0) throw absent(caller.address.canister, name);
  print(meant.map(describe), "channels", options);
}

async function deleteChannel(canisterId: string, name: string, options: ChannelOptions): Promise<void> {
  const caller = await signer(canisterId, options);
  const last = (await channelsOf(caller.address)).records.get(name);
  if (last?.record.release === undefined) throw absent(caller.address.canister, name);
  const serial = await changeChannel(caller, { name, last, number: undefined, note: options.note ?? "" });
  console.log(
    options.json
      ? jsonLine({ channel: name, serial })
      : `${name} of ${caller.address.canister} is deleted (record ${serial}); it stood for release ${last.record.release.number}`,
  );
}

/** @throws AbsentChannelError */
async function historyOf(
  { address, canister, explained }: Caller,
  last: VerifiedRecord | undefined,
  name: string,
): Promise<Described[]> {
  if (last === undefined) throw absent(address.canister, name);
  const pages = async (of: string, from: number, count: number) => {
    const asked = canister.channel_history(of, BigInt(from), count);
    return decodeHeaders(await explained(asked, { what: "tell a channel's history", by: "reader" }));
  };
  const list = [describe(last)];
  for await (const record of recordsBefore(last, address.canister, pages)) list.push(describe(record));
  return list;
}

function describe({ record }: VerifiedRecord): Described {
  const { name, serial, release, setBy, at, note } = record;
  return {
    channel: name,
    serial,
    ...(release && { release: release.number, header: release.header.toString("hex") }),
    setBy: Principal.fromUint8Array(Uint8Array.from(setBy)).toText(),
    setAt: at.toISOString(),
    note,
  };
}

function print(list: readonly Described[], what: "channels" | "records", { json }: ChannelOptions): void {
  if (json) console.log(jsonLine({ [what]: list }));
  else if (list.length === 0) console.log("there are no channels");
  else console.log(list.map(text).join("\n"));
}

function text({ channel, serial, release, header, setBy, setAt, note }: Described): string {
  return [
    release === undefined ? `${channel}: deleted` : `${channel}: release ${release}`,
    ...(header === undefined ? [] : [`  header  ${header}`]),
    `  set     ${setAt} by ${setBy} (record ${serial})`,
    ...(note === "" ? [] : [`  note    ${oneLine(note)}`]),
  ].join("\n");
}
