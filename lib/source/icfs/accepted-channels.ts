/**
 * What this host has accepted of a canister's channels, and what may follow it: a record with a higher serial, whatever it points
 * to; with the same serial only the same record; and none with a lower serial, which is a replay. accepted-releases.ts stores it.
 */
import type { Principal } from "@icp-sdk/core/principal";
import { VerificationError } from "../../ic/certificate/certificate.ts";
import { ForkedChannelError, ReplayedChannelError } from "./channels.ts";
import type { VerifiedRecord } from "./release-reader.ts";

/** The last accepted record of a channel. */
export interface AcceptedChannel {
  readonly serial: number;
  /** SHA-256 of the record, in hexadecimal. */
  readonly record: string;
  /** The number of the release that the channel points to; absent: the channel has been deleted. */
  readonly release?: number;
  /** As AcceptedRelease.kept: the serial of the last record by which a mount has kept a release here. */
  readonly kept?: number;
}

/** The channels of a canister, by name. */
export type AcceptedChannels = Readonly<Record<string, AcceptedChannel>>;

/** Channels of a canister that are remembered. canister/channels.mo allows 100, deleted ones included. */
export const MOST_CHANNELS = 200;

/** @param names of the channels that a canister shows. @throws VerificationError when they are too many, with those accepted before */
export function mustBeFew(names: Iterable<string>, before: AcceptedChannels = {}): void {
  const all = new Set([...names, ...Object.keys(before)]);
  if (all.size <= MOST_CHANNELS) return;
  throw new VerificationError(
    `the canister shows more than ${MOST_CHANNELS} channels, with those that it has shown before: no canister of icfs has so many`,
  );
}

/** A channel by its name, which may be that of a property that every object has. */
export function acceptedChannel(
  channels: AcceptedChannels | undefined,
  name: string,
): AcceptedChannel | undefined {
  return channels !== undefined && Object.hasOwn(channels, name) ? channels[name] : undefined;
}

/** The names of the channels that point to a release, in order. */
export function standing(channels: AcceptedChannels = {}): string[] {
  return Object.keys(channels)
    .filter((name) => channels[name]!.release !== undefined)
    .sort();
}

/** What is to be accepted of the channels with these records. @param now what is accepted so far */
export function acceptedOf(
  records: ReadonlyMap<string, VerifiedRecord>,
  now: AcceptedChannels | undefined,
): AcceptedChannels {
  const accepted = [...records].map(([name, { record, hash }]): [string, AcceptedChannel] => {
    const { kept } = acceptedChannel(now, name) ?? {};
    const release = record.release && { release: record.release.number };
    return [
      name,
      {
        serial: record.serial,
        record: hash.toString("hex"),
        ...release,
        ...(kept !== undefined && { kept }),
      },
    ];
  });
  return Object.fromEntries(accepted);
}

/** The channels after a mount has kept a release by a record; undefined when this changes nothing. */
export function keptBy(
  channels: AcceptedChannels | undefined,
  { name, serial }: { readonly name: string; readonly serial: number },
): AcceptedChannels | undefined {
  const accepted = acceptedChannel(channels, name);
  if (accepted === undefined || (accepted.kept ?? 0) >= serial) return undefined;
  return { ...channels, [name]: { ...accepted, kept: serial } };
}

/** The serial of each channel's last accepted record, by the channel's name. */
export function serialsOf(channels: AcceptedChannels = {}): Record<string, number> {
  return Object.fromEntries(Object.entries(channels).map(([name, { serial }]) => [name, serial]));
}

/** A channel can point anywhere, but its serials only grow. @throws ReplayedChannelError, ForkedChannelError */
export function mustFollow(
  name: string,
  { record, hash }: VerifiedRecord,
  before: AcceptedChannels | undefined,
): void {
  const accepted = acceptedChannel(before, name);
  if (accepted === undefined || record.serial > accepted.serial) return;
  if (record.serial < accepted.serial) {
    throw new ReplayedChannelError(
      `record ${record.serial} of channel ${name} is older than record ${accepted.serial}, which this host accepted before: an old answer is replayed, or history was rewritten`,
    );
  }
  if (hash.toString("hex") !== accepted.record) {
    throw new ForkedChannelError(
      `record ${record.serial} of channel ${name} is not the one that this host accepted before: this is a fork`,
    );
  }
}

/**
 * A record that was kept on this host may be older than the last accepted one, since it was accepted once.
 *
 * @throws VerificationError when it was not, or when a mount has kept a release by a later record since
 */
export function checkKeptChannel(
  canister: Principal,
  name: string,
  kept: VerifiedRecord | undefined,
  before: AcceptedChannels | undefined,
): void {
  const accepted = acceptedChannel(before, name);
  const { serial = 0 } = kept?.record ?? {};
  const isKnown =
    accepted !== undefined &&
    (serial < accepted.serial ||
      (serial === accepted.serial && kept?.hash.toString("hex") === accepted.record));
  if (!isKnown) {
    throw new VerificationError(
      `record ${serial} of channel ${name} was kept on this host, and is not what it has accepted; \`icfs trust show\` says what that is`,
    );
  }
  if (serial < (accepted.kept ?? 0)) {
    throw new VerificationError(
      `record ${serial} of channel ${name} was kept, and this host has served ${canister}@${name} by record ${accepted.kept} since, which is kept in another cache directory: name that with --cache-dir`,
    );
  }
}

/** Whether a value from a file has the form of channels. */
export function areChannels(value: unknown): value is AcceptedChannels {
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).every(
    (each) =>
      isNumber(each?.serial) &&
      typeof each.record === "string" &&
      (each.kept === undefined || isNumber(each.kept)),
  );
}

/** Whether a value can be the number of a release, or a record's serial: from 1. */
export function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}
