/**
 * What this host has accepted from a canister. A certificate proves that a release was the newest one lately. The chain of parents proves
 * that it succeeds what was served here before: a release with the same number must be the same, a higher one must lead back to the
 * accepted one, a lower one is a replay. accepted-channels.ts does the same for channels.
 *
 * There is one small file for each canister, in the host's state directory (clearing a cache must not remove it). A writer holds the lock,
 * and checks that the file is still what the release was compared with. So what is accepted only moves forwards, even with several slow
 * processes.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Principal } from "@icp-sdk/core/principal";
import { makeDirectory, makeItOwn, mustBeOwn, stateDirectory } from "../../directories.ts";
import { isAbsent, messageOf, UserError } from "../../errors.ts";
import { VerificationError } from "../../ic/certificate/certificate.ts";
import { readKeptSync } from "../../kept-file.ts";
import { withLock } from "../../lock.ts";
import { removeAbandoned, replaceFile, syncDirectory } from "../../replace-file.ts";
import type { CanisterAddress, ReleaseAddress } from "../address.ts";
import type { Release } from "../source.ts";
import {
  type AcceptedChannels,
  acceptedChannel,
  acceptedOf,
  areChannels,
  checkKeptChannel,
  isNumber,
  keptBy,
  mustBeFew,
  mustFollow,
  serialsOf,
  standing,
} from "./accepted-channels.ts";
import { ancestors } from "./chain.ts";
import type { Head, ReleaseReader } from "./release-reader.ts";

export interface AcceptedRelease {
  readonly canister: string;
  /** SHA-256 of the network's root key: the same canister id elsewhere is another canister. */
  readonly network: string;
  /** The network's URL when the release was accepted; absent in files of older versions. */
  readonly url?: string;
  readonly number: number;
  /** SHA-256 of the release's header, in hexadecimal. */
  readonly header: string;
  /** The newest release that a mount has kept here, to be mounted again offline; absent: none. */
  readonly kept?: number;
  /**
   * The time of the first certificate by which a release was accepted here, since the last `icfs trust reset`, if there was one.
   * An earlier certificate may belong to another history. ISO 8601; absent in files of older versions.
   */
  readonly since?: string;
  /** The channels with an accepted record, by name; absent: none. */
  readonly channels?: AcceptedChannels;
}

const SET_ANOTHER = "set XDG_STATE_HOME to another directory";
/** How often the comparison is repeated if others accept a release meanwhile. Each time, a newer one has appeared. */
const MOST_ATTEMPTS = 10;

/** Limit on the bytes of such a file. It has a few hundred, or 20,000 with as many channels as canister/channels.mo allows. */
const MOST_BYTES = 64 * 1024;

function directory(): string {
  return join(stateDirectory("/var/lib/icfs"), "trust");
}

/** Checks that no other user can change or remove what was accepted. @throws UserError */
function mustBeOurs(): void {
  try {
    makeItOwn(dirname(directory()), SET_ANOTHER);
    mustBeOwn(directory(), SET_ANOTHER);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot read what was accepted before: ${messageOf(error)}; ${SET_ANOTHER}`);
  }
}

/** What this host has accepted, canister by canister. @throws UserError */
export function acceptedReleases(): AcceptedRelease[] {
  // Somebody may remove one meanwhile.
  return files().flatMap((name) => read(join(directory(), name)) ?? []);
}

/** Whether this host has accepted a release from a canister on the network of that root key. @throws UserError */
export function hasAccepted(canister: Principal, rootKey: Uint8Array): boolean {
  return read(fileOf(placeOf(canister, rootKey))) !== undefined;
}

/**
 * Forgets what was accepted from a canister.
 *
 * @param isMeant whether to forget what was accepted on a network. Its parameters are the first 16 digits of AcceptedRelease.network, and
 *   the file's content, if that can be read
 * @returns what was forgotten, with undefined for a file that could not be read
 * @throws UserError
 */
export async function resetTrust(
  canister: Principal,
  isMeant: (network: string, accepted: AcceptedRelease | undefined) => boolean = () => true,
): Promise<(AcceptedRelease | undefined)[]> {
  // By name, since the user may want to remove an unreadable file.
  const prefix = `${canister.toText()}-`;
  const find = () => files().filter((name) => name.startsWith(prefix));
  if (find().length === 0) return [];
  return locked("cannot forget what was accepted", async () => {
    const forgotten: (AcceptedRelease | undefined)[] = [];
    for (const name of find()) {
      const file = join(directory(), name);
      const accepted = readable(file);
      if (!isMeant(name.slice(prefix.length, -".json".length), accepted)) continue;
      rmSync(file, { recursive: true, force: true });
      forgotten.push(accepted);
    }
    await syncDirectory(directory());
    return forgotten;
  });
}

function readable(file: string): AcceptedRelease | undefined {
  try {
    return read(file);
  } catch {
    return undefined;
  }
}

function files(): string[] {
  mustBeOurs();
  try {
    return readdirSync(directory()).filter((name) => name.endsWith(".json"));
  } catch (error) {
    if (isAbsent(error)) return [];
    throw new UserError(`cannot read what was accepted before: ${messageOf(error)}`);
  }
}

/**
 * A reader that accepts a head only if it is the accepted one or descends from it, and records it.
 * Its head() throws VerificationError otherwise, and UserError when the host's state cannot be read or written.
 *
 * @param remember whether accepted heads are recorded
 */
export function trustingReader(
  reader: ReleaseReader,
  address: ReleaseAddress,
  remember = true,
): ReleaseReader {
  return {
    head: () => acceptedHead(reader, address, remember),
    async restore(proof) {
      const head = await reader.restore(proof);
      checkKept(address, head);
      return head;
    },
    headers: (from, count, accept) => reader.headers(from, count, accept),
    manifest: (header, pieces) => reader.manifest(header, pieces),
    chunk: (reference, received) => reader.chunk(reference, received),
  };
}

/**
 * The head, compared with what this host had accepted before it was requested. If another process has accepted a release meanwhile, the
 * canister is asked again, since the head may be older than that.
 *
 * @returns undefined before the first release
 */
async function acceptedHead(
  reader: ReleaseReader,
  { canister, rootKey, network: { url } }: CanisterAddress,
  remember: boolean,
): Promise<Head | undefined> {
  const place = placeOf(canister, rootKey);
  const file = fileOf(place);
  for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt += 1) {
    const before = read(file);
    // The advice names the requested canister, whatever the file says.
    const head = await acceptable(reader, before && { ...before, ...place });
    mustBeFew(head?.channels?.keys() ?? [], before?.channels);
    if (!remember || head === undefined || isRemembered(head, before)) {
      if (isSame(read(file), before)) return head;
      continue;
    }
    const accepted = { ...place, url, number: head.header.number, header: head.hash.toString("hex") };
    const isWritten = await update(file, (now) =>
      isSame(now, before)
        ? { ...now, ...accepted, ...sinceOf(head, now), ...channelsOf(head, now?.channels) }
        : undefined,
    );
    if (isWritten) return head;
  }
  throw new Error(`others have accepted other releases of ${place.canister} again and again meanwhile`);
}

/** Whether an acceptable head adds nothing to record. */
function isRemembered(
  { header, certifiedAt, channels = NONE }: Head,
  before: AcceptedRelease | undefined,
): boolean {
  if (before?.number !== header.number || certifiedAt.toISOString() < (before.since ?? "")) return false;
  return [...channels].every(
    ([name, { record }]) => acceptedChannel(before.channels, name)?.serial === record.serial,
  );
}

const NONE: NonNullable<Head["channels"]> = new Map();

function channelsOf(
  { channels = NONE }: Head,
  now: AcceptedChannels | undefined,
): Pick<AcceptedRelease, "channels"> {
  return channels.size === 0 ? {} : { channels: { ...now, ...acceptedOf(channels, now) } };
}

/** The earlier of `since` and the head's time; none if a file of an older version does not have it. */
function sinceOf({ certifiedAt }: Head, now: AcceptedRelease | undefined): Pick<AcceptedRelease, "since"> {
  if (now !== undefined && now.since === undefined) return {};
  const time = certifiedAt.toISOString();
  return { since: now?.since !== undefined && now.since < time ? now.since : time };
}

/** The head, if it may follow what was accepted before. @throws VerificationError */
async function acceptable(
  reader: ReleaseReader,
  before: AcceptedRelease | undefined,
): Promise<Head | undefined> {
  if (before === undefined) return reader.head();
  let looked: { readonly at: Head | undefined } | undefined;
  const look = async (head: Head | undefined) => {
    await mustBeAcceptable(head, before, reader);
    looked = { at: head };
  };
  const head = await reader.head(look);
  // Not every reader takes this callback.
  if (looked === undefined || looked.at !== head) await look(head);
  return head;
}

function isSame(one: AcceptedRelease | undefined, other: AcceptedRelease | undefined): boolean {
  const isOfHead = one?.number === other?.number && one?.header === other?.header;
  return isOfHead && isDeepStrictEqual(serialsOf(one?.channels), serialsOf(other?.channels));
}

/** A kept release, and the record of the channel that points to it, if a channel was requested. */
export type KeptNumbers = Required<Pick<Release, "number">> & Pick<Release, "channel">;

/**
 * The number of the release of a canister, or a channel, that was accepted after the kept one; undefined when there is none.
 *
 * @throws UserError
 */
export function acceptedAfter(
  { canister, rootKey }: CanisterAddress,
  { number = 0, channel }: KeptNumbers,
): number | undefined {
  const accepted = read(fileOf(placeOf(canister, rootKey)));
  if (channel === undefined)
    return accepted !== undefined && accepted.number > number ? accepted.number : undefined;
  const { serial = 0, release } = acceptedChannel(accepted?.channels, channel.name) ?? {};
  return serial > channel.serial && release !== number ? release : undefined;
}

/** The channels that pointed to a release when this host last accepted their records. @throws UserError */
export function knownChannels({ canister, rootKey }: CanisterAddress): string[] {
  return standing(read(fileOf(placeOf(canister, rootKey)))?.channels);
}

/** Whether the last record that this host has accepted of the channel deletes it. @throws UserError */
export function isDeleted({ canister, rootKey, channel }: ReleaseAddress): boolean {
  if (channel === undefined) return false;
  const accepted = acceptedChannel(read(fileOf(placeOf(canister, rootKey)))?.channels, channel);
  return accepted !== undefined && accepted.release === undefined;
}

/** Records that a mount has kept a release: from then on, no earlier one is mounted by default. @throws UserError */
export async function rememberKept(
  { canister, rootKey }: CanisterAddress,
  { number = 0, channel }: KeptNumbers,
): Promise<void> {
  const file = fileOf(placeOf(canister, rootKey));
  const withKept = (now: AcceptedRelease | undefined): AcceptedRelease | undefined => {
    if (now === undefined) return undefined;
    if (channel === undefined) return (now.kept ?? 0) < number ? { ...now, kept: number } : undefined;
    const channels = keptBy(now.channels, channel);
    return channels && { ...now, channels };
  };
  if (withKept(read(file)) === undefined) return;
  await update(file, withKept);
}

/**
 * Checks a kept release. It may be older than the newest accepted one, for example after an `icfs ls` of the newer one, or while a mount
 * fetches that. It is still accepted, since this host has accepted it once, and merely looking at a release must not take away the mounted
 * one. But if a mount has kept the newer one, an older one is accepted only if it is requested by number. After `icfs trust reset`, no
 * previously kept release is accepted, even if the canister's new history has reached higher numbers.
 *
 * @throws VerificationError; UserError
 */
function checkKept(
  { canister, rootKey, release, channel }: ReleaseAddress,
  { header, hash, certifiedAt, channels = NONE }: Head,
): void {
  const before = read(fileOf(placeOf(canister, rootKey)));
  const isKnown =
    before !== undefined &&
    !(certifiedAt.toISOString() < (before.since ?? "")) &&
    (header.number < before.number ||
      (header.number === before.number && hash.toString("hex") === before.header));
  if (!isKnown) {
    throw new VerificationError(
      `release ${header.number} was kept on this host, and is not what it has accepted; \`icfs trust show\` says what that is`,
    );
  }
  if (channel !== undefined) {
    checkKeptChannel(canister, channel, channels.get(channel), before.channels);
    return;
  }
  if (release === undefined && header.number < (before.kept ?? 0)) {
    throw new VerificationError(
      `release ${header.number} was kept, and this host has served release ${before.kept} since, which is kept in another cache directory: name that with --cache-dir, or go back on purpose with ${canister}@${header.number}`,
    );
  }
}

async function mustBeAcceptable(
  head: Head | undefined,
  before: AcceptedRelease,
  reader: ReleaseReader,
): Promise<void> {
  try {
    await mustDescend(head, before, reader);
    for (const [name, channel] of head?.channels ?? NONE) mustFollow(name, channel, before.channels);
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    // The error keeps its class.
    error.message = `${error.message}. If the canister was reinstalled on purpose, run \`icfs trust reset ${before.canister}\``;
    throw error;
  }
}

async function mustDescend(
  head: Head | undefined,
  accepted: AcceptedRelease,
  reader: ReleaseReader,
): Promise<void> {
  if (head === undefined) {
    throw new VerificationError(
      `the canister has no release, but this host accepted release ${accepted.number} before`,
    );
  }
  const { number } = head.header;
  if (number < accepted.number) {
    throw new VerificationError(
      `release ${number} is older than release ${accepted.number}, which this host accepted before: an old answer is replayed, or history was rewritten`,
    );
  }
  if ((await hashOf(accepted.number, head, reader)).toString("hex") !== accepted.header) {
    throw new VerificationError(
      `release ${accepted.number} is not the one that this host accepted before: this is a fork`,
    );
  }
}

/** The hash of the header of release `number`, which is the head or below it. @throws as ancestors() */
async function hashOf(number: number, head: Head, reader: ReleaseReader): Promise<Buffer> {
  if (number === head.header.number) return head.hash;
  let child = head.header;
  // The header itself is not needed: its successor has its hash.
  for await (const { header } of ancestors(head, reader, number + 1)) child = header;
  // Only release 1 has no parent (decodeHeader), and `child` is above `number`.
  return child.parent!;
}

function placeOf(canister: Principal, rootKey: Uint8Array): Pick<AcceptedRelease, "canister" | "network"> {
  return { canister: canister.toText(), network: createHash("sha256").update(rootKey).digest("hex") };
}

function fileOf({ canister, network }: Pick<AcceptedRelease, "canister" | "network">): string {
  return join(directory(), `${canister}-${network.slice(0, 16)}.json`);
}

function read(file: string): AcceptedRelease | undefined {
  mustBeOurs();
  try {
    const accepted = JSON.parse(readKeptSync(file, MOST_BYTES).toString());
    const { number, header, kept, since, channels } = accepted;
    const isWhole = isNumber(number) && typeof header === "string";
    if (!isWhole || !(kept === undefined || isNumber(kept)) || !(since === undefined || isTime(since))) {
      throw new Error("it does not say which release");
    }
    if (!(channels === undefined || areChannels(channels))) throw new Error("it does not say which channels");
    return accepted;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    const canister = basename(file).split("-").slice(0, -1).join("-");
    throw new UserError(
      `${file}, which says what this host accepted before, cannot be read: ${messageOf(error)}; ` +
        `if it is damaged, \`icfs trust reset ${canister}\` forgets it`,
    );
  }
}

/** Whether a value is a time in the form in which it is written, so that two can be compared as texts. */
function isTime(value: unknown): boolean {
  return typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value);
}

/**
 * Replaces a file, under the lock.
 *
 * @param change returns the new content for the current one; undefined: it stays as it is
 * @returns whether it was changed. @throws UserError
 */
async function update(
  file: string,
  change: (now: AcceptedRelease | undefined) => AcceptedRelease | undefined,
): Promise<boolean> {
  return locked("cannot remember which release was accepted", async () => {
    const next = change(read(file));
    if (next === undefined) return false;
    await replaceFile(file, `${JSON.stringify(next)}\n`);
    await syncDirectory(directory());
    await removeAbandoned(directory());
    return true;
  });
}

/** @param what the beginning of the message if something is wrong with the directory. @throws UserError */
async function locked<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    const isNew = !existsSync(directory());
    makeDirectory(directory(), 0o700);
    mustBeOurs();
    // Synced, like everything that is written in it: after a power cut, the host must still know what it has accepted.
    for (let at = directory(); isNew && at !== dirname(at); at = dirname(at)) {
      await syncDirectory(dirname(at)).catch(() => {});
    }
    return await withLock(`${directory()}.lock`, work);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${what}: ${messageOf(error)}; make ${directory()} writable, or set XDG_STATE_HOME`);
  }
}
