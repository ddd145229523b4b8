/** Reads and changes channels, for `icfs channel` and `icfs promote`. */
import { InvalidArgumentError } from "commander";
import { UserError } from "../errors.ts";
import { patiently, patientReader } from "../publish/patience.ts";
import { checkNote } from "../publish/plan.ts";
import type { CanisterAddress } from "../source/address.ts";
import { openHead, openReader } from "../source/icfs/open-release.ts";
import type { Head, VerifiedRecord } from "../source/icfs/release-reader.ts";
import { isChannelName } from "../tree/channel.ts";
import type { Caller } from "./calls.ts";
import { REQUEST_TIMEOUT_MS } from "./connect.ts";

/** For arguments that name a channel. @throws InvalidArgumentError */
export function parseChannelName(text: string): string {
  if (isChannelName(text)) return text;
  throw new InvalidArgumentError(
    "A channel's name has 1 to 64 of a-z, 0-9, '-', '.' and '_', begins with a letter or a digit, and is not a number.",
  );
}

export interface Channels {
  readonly head: Head;
  /** The last record of each channel by name, including deleted ones. */
  readonly records: ReadonlyMap<string, VerifiedRecord>;
}

/** The channels, verified, and no older than what this host has accepted. @throws UserError, VerificationError, ... */
export async function channelsOf(address: CanisterAddress): Promise<Channels> {
  const reader = patientReader(openReader(address, REQUEST_TIMEOUT_MS, undefined, "channels"));
  const head = await openHead(address, reader);
  return { head, records: head.channels! };
}

interface Change {
  readonly name: string;
  /** The channel's last record, as far as is known. */
  readonly last: VerifiedRecord | undefined;
  /** The channel's new release; undefined: delete the channel. */
  readonly number: number | undefined;
  readonly note: string;
}

/**
 * Adds a record to a channel.
 *
 * @returns its serial
 * @throws UserError, also when somebody else has changed the channel in the meantime
 */
export async function changeChannel(caller: Caller, change: Change): Promise<number> {
  const { address, canister, explained } = caller;
  const { name, last, number, note } = change;
  checkNote(note);
  const call = () =>
    canister.promote({
      channel: name,
      release: [BigInt(number ?? 0)],
      serial: last === undefined ? [] : [BigInt(last.record.serial)],
      note,
    });
  const what = number === undefined ? "delete the channel" : "promote";
  const result = await explained(patiently(call), { what, by: "promoter" });
  if ("ok" in result) return Number(result.ok);
  if ("invalid" in result.err) throw new UserError(`the canister did not ${what}: ${result.err.invalid}`);
  const made = await madeBefore(caller, change);
  if (made !== undefined) return made;
  const [serial] = result.err.conflict.serial;
  throw new UserError(
    `conflict: somebody else changed channel ${name} meanwhile (its last record is ${serial ?? "none"}), and nothing was done. Look at it (\`icfs channel ${address.canister} ${name} --history\`), and run this again if it is still right`,
  );
}

/** The serial of the record made by an earlier call whose answer was lost; undefined: there is none. */
async function madeBefore(
  { address, agent }: Caller,
  { name, last, number, note }: Change,
): Promise<number | undefined> {
  const found = (await channelsOf(address)).records.get(name)?.record;
  if (found === undefined) return undefined;
  const own = (await agent.getPrincipal()).toUint8Array();
  const follows = last === undefined ? found.before === undefined : found.before?.equals(last.hash) === true;
  const isOurs = found.setBy.equals(own) && found.release?.number === number && found.note === note;
  return follows && isOurs ? found.serial : undefined;
}
