/** Finds an icfs mount on this host, and opens what it serves from outside the mount. */
import { stat } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import type { Command } from "commander";
import { UserError } from "../errors.ts";
import { MOUNT_TYPE, type Mount, mountAt, readMounts } from "../fs/mounting/mountinfo.ts";
import { inspect } from "../fs/mounting/probe.ts";
import { askStatus } from "../live/report/control.ts";
import type { MountStatus } from "../live/report/status.ts";
import { ancestors } from "../source/icfs/chain.ts";
import { openHead } from "../source/icfs/open-release.ts";
import type { VerifiedHeader } from "../source/icfs/release-reader.ts";
import { openReleases } from "../source/open-source.ts";
import { isRelease, parseRelease } from "./addresses.ts";
import { REQUEST_TIMEOUT_MS, releaseAddressOf } from "./connect.ts";
import { isGiven, type ReadingOptions } from "./options.ts";
import { openMirrors, openSourceOf } from "./reading.ts";

/** Milliseconds. A proof grows older while it is verified; a fresh one is valid for five minutes. */
const MORE_STALE_MS = 300_000;

export interface IcfsMount {
  /** Absolute, without symlinks. */
  readonly mountpoint: string;
  /** The canister or release, as it was given to the mount command. */
  readonly source: string;
  /** What the mount reports, if it answers this user. */
  readonly status: MountStatus | undefined;
}

/**
 * The mount at a path, or the channel whose directory it is in a mount of all channels.
 *
 * @throws UserError when there is no icfs mount, when it does not answer, or when it has several releases
 */
export async function findMount(name: string): Promise<IcfsMount> {
  const { path, code } = await inspect(name);
  const mounts = await readMounts();
  const mount = mountAt(mounts, path);
  if (mount?.type !== MOUNT_TYPE) {
    const around = code === undefined ? mountAt(mounts, dirname(path)) : undefined;
    const channel = around?.type === MOUNT_TYPE ? channelIn(await asked(around), basename(path)) : undefined;
    if (channel !== undefined) return channel;
    // A name without a slash was more likely meant to be a canister.
    if (code === "ENOENT" && !name.includes("/")) parseRelease(name);
    throw new UserError(`${name} is neither a canister id nor an icfs mount`);
  }
  const found = await answering(mount, name, code);
  if (found.status?.channels !== undefined) throw severalReleases(name, found.status);
  return found;
}

/**
 * A mount with its status.
 *
 * @param name for the error
 * @param code the error that inspect() found there, if any
 * @throws UserError when the mount does not answer
 */
async function answering(mount: Mount, name: string, code: string | undefined): Promise<IcfsMount> {
  if (code !== undefined) throw new UserError(`the mount at ${name} does not answer: ${code}`);
  return asked(mount);
}

/** A mount with its status, or without one if it does not answer this user. */
async function asked(mount: Mount): Promise<IcfsMount> {
  const { mountpoint, source } = mount;
  return { mountpoint, source, status: await askStatus(mount).catch(() => undefined) };
}

/** A channel's directory in the mount's root; undefined when it is not one. */
function channelIn({ mountpoint, source, status }: IcfsMount, name: string): IcfsMount | undefined {
  const channel = { mountpoint: join(mountpoint, name), source: `${source}@${name}` };
  if (!isRelease(channel.source)) return undefined;
  // The directory's modification time still tells which release it shows.
  if (status === undefined) return { ...channel, status };
  const found = status.channels?.find((one) => one.channel === name);
  return found && { ...channel, status: { ...status, ...found } };
}

function severalReleases(name: string, { canister, channels = [] }: MountStatus): UserError {
  const each = channels.map(({ channel }) => `\`icfs verify ${join(name, channel!)}\``);
  return new UserError(
    each.length === 0
      ? `${name} shows all channels of ${canister}, which has none: there is nothing to verify`
      : `${name} shows all channels of ${canister}: verify each, ${each.join(", ")}`,
  );
}

/** The argument and the options with which to open a release. */
export interface Named {
  /** `CANISTER`, `CANISTER@NUMBER` or `CANISTER@CHANNEL`. */
  readonly text: string;
  readonly options: ReadingOptions;
}

/**
 * The release that a mount serves, with the network and the mirrors of the mount unless others are given. If the mount does not
 * answer, its release is found by the modification time of its root.
 *
 * @throws UserError when the canister never had such a release
 */
export async function served(mount: IcfsMount, given: ReadingOptions, command: Command): Promise<Named> {
  const { source: text, mountpoint, status } = mount;
  if (status === undefined || isGiven(command, "network")) return servedByTime(text, mountpoint, given);
  const { release, canister } = status;
  const options = readAs(mount, given, command);
  return { text: release === undefined ? text : `${canister}@${release}`, options };
}

/**
 * The options with which a mount reads its canister: its own network and mirrors, unless others are given or the mount does not
 * tell.
 */
export function readAs({ status }: IcfsMount, given: ReadingOptions, command: Command): ReadingOptions {
  if (status === undefined || isGiven(command, "network")) return given;
  const { network, rootKey, source } = status;
  return {
    ...given,
    ...(isGiven(command, "mirror") || isGiven(command, "mirrorOnly") ? {} : mirrorsOf(status, given)),
    network,
    ...(isGiven(command, "rootKey") ? {} : { rootKey }),
    ...(isGiven(command, "source") ? {} : { source }),
  };
}

export interface Sender {
  readonly mount: IcfsMount;
  /** The file's path in the mount. */
  readonly path: string;
}

/**
 * The mount that contains a file now; undefined when it is not an icfs mount.
 *
 * @throws UserError when it does not answer
 */
export async function senderOf(file: string): Promise<Sender | undefined> {
  const mounts = await readMounts();
  const around = mounts.filter(
    ({ type, mountpoint }) => type === MOUNT_TYPE && file.startsWith(`${mountpoint}/`),
  );
  const nearest = around.toSorted((a, b) => b.mountpoint.length - a.mountpoint.length)[0];
  // Something else may be mounted over it.
  const mount = nearest && mountAt(mounts, nearest.mountpoint);
  if (mount?.type !== MOUNT_TYPE) return undefined;
  const { code } = await inspect(mount.mountpoint);
  const found = await answering(mount, mount.mountpoint, code);
  const serving =
    found.status?.channels === undefined
      ? found
      : channelIn(found, relative(found.mountpoint, file).split("/")[0]!);
  return serving && { mount: serving, path: relative(serving.mountpoint, file) };
}

/** The mount's own mirrors, if it has any. Their proofs may be as old as the mount's own. */
function mirrorsOf(
  { mirrors, mirrorOnly, proofAge }: MountStatus,
  { maxStale }: ReadingOptions,
): Partial<ReadingOptions> {
  if (mirrors.length === 0) return {};
  const isSaid = maxStale !== undefined && maxStale < Number.POSITIVE_INFINITY;
  return {
    mirror: mirrors.map(({ url }) => url),
    ...(mirrorOnly && { mirrorOnly }),
    maxStale: isSaid ? maxStale : 1000 * proofAge + MORE_STALE_MS,
  };
}

/**
 * The release that a mount serves, found by the modification time of its root, and the kind of its canister. For canisters
 * without numbered releases this can only be the current content.
 *
 * @throws UserError when the canister never had such a release
 */
async function servedByTime(text: string, mountpoint: string, given: ReadingOptions): Promise<Named> {
  const address = await releaseAddressOf(text, given);
  if (address.release !== undefined) return { text, options: given };
  const { kind } = await openSourceOf(address, given);
  // Passed on, so that it is not detected again.
  const options = { ...given, source: kind };
  if (kind !== "icfs") return { text, options };
  // The mounted release may no longer be the channel's: search all releases of the canister.
  const { channel: _, ...anyRelease } = address;
  const id = address.canister.toText();
  const reader = openReleases(anyRelease, {
    mirrors: openMirrors(given),
    requestTimeout: REQUEST_TIMEOUT_MS,
  });
  const head = await openHead(anyRelease, reader);
  const { mtimeMs } = await stat(mountpoint);
  const isIt = ({ header }: VerifiedHeader) => header.publishedAt.getTime() === Math.round(mtimeMs);
  if (isIt(head)) return { text: `${id}@${head.header.number}`, options };
  for await (const { header, hash } of ancestors(head, reader)) {
    if (isIt({ header, hash })) return { text: `${id}@${header.number}`, options };
  }
  throw new UserError(
    `what is mounted at ${mountpoint} is not a release of ${address.canister}: is --network the one it was mounted from?`,
  );
}
