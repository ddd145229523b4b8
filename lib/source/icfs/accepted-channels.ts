/**
 * What this host has accepted of a canister's channels before, and what may follow it: a record with a higher serial, whatever it stands
 * for; with the same serial only the same record; and none with a lower serial, which is a replay. accepted-releases.ts keeps it.
 */
import type { Principal } from "@icp-sdk/core/principal";
import { VerificationError } from "../../ic/certificate/certificate.ts";
import { ForkedChannelError, ReplayedChannelError } from "./channels.ts";
import type { VerifiedRecord } from "./release-reader.ts";

/** The last record of a channel that was accepted here. */
export interface AcceptedChannel {
  readonly serial: number;
  /** SHA-256 of the record, in hexadecimal. */
  readonly record: string;
  /** The number of the release that the channel stands for; not there: it has been deleted. */
  readonly release?: number;
  /** As `kept` of the canister: the serial of the last record by which a mount has kept a release here. */
  readonly kept?: number;
}

/** By name. */
export type AcceptedChannels = Readonly<Record<string, AcceptedChannel>>;

/** @param channels of which one may be named as what every object has */
export function acceptedChannel(
  channels: AcceptedChannels | undefined,
  name: string,
): AcceptedChannel | undefined {
  return channels !== undefined && Object.hasOwn(channels, name) ? channels[name] : undefined;
}

/** What is accepted with these records. @param now what was accepted by then */
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

/** The channels, once a mount has kept a release by a record; undefined: that is nothing new. */
export function keptBy(
  channels: AcceptedChannels | undefined,
  { name, serial }: { readonly name: string; readonly serial: number },
): AcceptedChannels | undefined {
  const accepted = acceptedChannel(channels, name);
  if (accepted === undefined || (accepted.kept ?? 0) >= serial) return undefined;
  return { ...channels, [name]: { ...accepted, kept: serial } };
}

export function serialsOf(channels: AcceptedChannels = {}): Record<string, number> {
  return Object.fromEntries(Object.entries(channels).map(([name, { serial }]) => [name, serial]));
}

/** A channel goes where it is sent, but its serials only grow. @throws ReplayedChannelError, ForkedChannelError */
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
 * A record that was kept on this host may be older than the last one that was accepted: it was accepted once.
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
      `record ${serial} of channel ${name} was kept, and this host has mounted ${canister}@${name} by record ${accepted.kept} since, which is kept in another cache directory: name that with --cache-dir`,
    );
  }
}

/** Whether this is what a file has of channels. */
export function areChannels(value: unknown): value is AcceptedChannels {
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).every(
    (each) =>
      isNumber(each?.serial) &&
      typeof each.record === "string" &&
      (each.kept === undefined || isNumber(each.kept)),
  );
}

/** Of a release or a record: from 1. */
export function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}
