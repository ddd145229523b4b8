/** icfs verify: is a release all right, as a whole; is a directory the same; does a mount serve it. */
import { stat } from "node:fs/promises";
import { Command } from "commander";
import { replacedNetwork } from "../doctor/replaced-network.ts";
import { UserError } from "../errors.ts";
import { MOUNT_TYPE, mountAt, readMounts } from "../fs/mounting/mountinfo.ts";
import { inspect } from "../fs/mounting/probe.ts";
import { jsonLine, oneLine } from "../log.ts";
import { askStatus } from "../mount/report/control.ts";
import type { MountStatus } from "../mount/report/status.ts";
import { readLocalFiles } from "../publish/icboot/local-files.ts";
import { readLocalTree } from "../publish/local-tree.ts";
import { createProgress, stopOnSignals } from "../publish/progress.ts";
import { ancestors } from "../source/icfs/chain.ts";
import type { MirrorHealth } from "../source/icfs/mirrors.ts";
import { openHead } from "../source/icfs/open-release.ts";
import type { VerifiedHeader } from "../source/icfs/release-reader.ts";
import { IcfsRelease } from "../source/icfs/source.ts";
import { openReleases } from "../source/open-source.ts";
import type { Release, SourceKind, Verification } from "../source/source.ts";
import { nameOf, namesOf, type ReleaseNames, VOUCHED } from "../source/words.ts";
import { areNone, type Differences, differenceLines } from "../tree/diff.ts";
import { countText, sizeText } from "../units.ts";
import { compareDirectory, fileProblems, mountProblems, totalsProblems } from "../verify.ts";
import { isRelease, parseRelease, REQUEST_TIMEOUT_MS, releaseAddressOf } from "./addresses.ts";
import { checkOrder } from "./argument-order.ts";
import { type DirectoryOptions, readingOf, withDirectory } from "./directory-options.ts";
import { mirrorText } from "./mirror-text.ts";
import { flag, named, type ReadingOptions, withMirrors } from "./options.ts";
import { openForReading, openMirrors, openSourceOf } from "./reading.ts";
import { readingCache } from "./reading-cache.ts";

/** Milliseconds: a proof grows older while it is being verified. */
const MORE_STALE_MS = 60_000;

interface VerifyOptions extends ReadingOptions, DirectoryOptions {
  readonly json?: boolean;
}

/** What --json prints. */
interface Result extends ReleaseNames {
  readonly canister: string;
  readonly source: SourceKind;
  readonly verified: Verification;
  readonly files: number;
  /** Bytes of all files together. */
  readonly bytes: number;
  /** The manifest's own included. */
  readonly chunks: number;
  /** Who has brought them, and what else came of asking; not there without mirrors. */
  readonly mirrors?: readonly MirrorHealth[];
  readonly problems: readonly string[];
  /** What publishing the directory would change; not there without one. */
  readonly differences?: Differences;
}

export function verifyCommand(): Command {
  const command = new Command("verify")
    .description("check a release as a whole, every chunk and every file; exit code 1 when anything is wrong")
    .argument(
      "<canister|mountpoint>",
      "canister id, also with @NUMBER or @CHANNEL; or where one is mounted: what is served is read as well; the network and the mirrors are the mount's own unless --network or --mirror says others",
      named("a canister or a mountpoint"),
    )
    .argument(
      "[directory]",
      "compare with this directory, as it would be published; times do not count",
      named("a directory"),
    )
    .addOption(
      flag(
        "--json",
        "print one object: canister, source, release and header, or snapshot, verified, files, bytes, chunks, mirrors, problems, differences",
      ),
    );
  withDirectory(command);
  return withMirrors(command).action(verify);
}

async function verify(
  name: string,
  directory: string | undefined,
  options: VerifyOptions,
  command: Command,
): Promise<void> {
  checkOrder(name, directory, (id, dir) => `icfs verify ${id} ${dir}`);
  const mount = isRelease(name) ? undefined : await findMount(name);
  const text = mount?.source ?? name;
  const named = mount === undefined ? { text, options } : await served(mount, options, command);
  const { address, source, release, tree, mirrors } = await openForReading(named.text, named.options).catch(
    (error) => explained(error, mount?.status, named.options),
  );
  const progress = createProgress(process.stderr);
  stopOnSignals(progress);
  let result: Result;
  try {
    const problems = release instanceof IcfsRelease ? totalsProblems(release.header.totals, tree) : [];
    problems.push(...(await fileProblems(tree, readingCache(source), progress)));
    if (mount !== undefined) problems.push(...(await mountProblems(tree, mount.mountpoint, progress)));
    const compared =
      directory === undefined
        ? undefined
        : await compareDirectory(
            tree,
            directory,
            readingOf(options),
            progress,
            source.kind === "icboot" ? readLocalFiles : readLocalTree,
          );
    result = {
      canister: address.canister.toText(),
      source: source.kind,
      ...namesOf(release),
      verified: release.verified,
      files: tree.files,
      bytes: tree.bytes,
      chunks: tree.chunks.length + source.piecesOf(release).length,
      ...(mirrors === undefined ? {} : { mirrors: mirrors.health() }),
      problems: [...problems, ...(compared?.problems ?? [])],
      ...(compared === undefined ? {} : { differences: compared.differences }),
    };
  } finally {
    progress.stop();
  }
  report(result, release, options, [mount?.mountpoint, directory]);
}

/** @throws UserError when not all is well, after printing what is wrong */
function report(
  result: Result,
  release: Release,
  { json }: VerifyOptions,
  others: readonly (string | undefined)[],
): void {
  const { canister, verified, files, bytes, chunks, mirrors = [], problems, differences } = result;
  const name = `${nameOf(release)} of ${canister}`;
  const lines = differences === undefined ? [] : differenceLines(differences);
  const same = others.filter((other) => other !== undefined).map((other) => `; ${other} is the same`);
  if (json) console.log(jsonLine(result));
  else if (problems.length + lines.length > 0) console.log([...problems.map(oneLine), ...lines].join("\n"));
  else {
    console.log(
      `${name} (${release.hash.toString("hex")}) is all right: ${files} files, ${sizeText(bytes)}, ${chunks} chunks verified, ${VOUCHED[verified]}${same.join("")}`,
    );
  }
  if (!json) for (const mirror of mirrors) console.log(oneLine(`mirror ${mirrorText(mirror)}`));
  if (problems.length > 0 || (differences !== undefined && !areNone(differences))) {
    const found = [counted(problems.length, "problem"), counted(lines.length, "difference")];
    throw new UserError(`${name}: ${found.filter(Boolean).join(", ")}`);
  }
}

function counted(count: number, what: string): string {
  return count === 0 ? "" : countText(count, what);
}

export interface IcfsMount {
  /** Absolute, without symlinks. */
  readonly mountpoint: string;
  /** The canister or release, as whoever mounted it named it. */
  readonly source: string;
  /** What the mount says of itself, if it tells this user. */
  readonly status: MountStatus | undefined;
}

/** @throws UserError when no mount of ours that answers is there */
export async function findMount(name: string): Promise<IcfsMount> {
  const { path, code } = await inspect(name);
  const mount = mountAt(await readMounts(), path);
  if (mount?.type !== MOUNT_TYPE) {
    // Without a slash it was more likely meant to be a canister.
    if (code === "ENOENT" && !name.includes("/")) parseRelease(name);
    throw new UserError(`${name} is neither a canister id nor an icfs mount`);
  }
  if (code !== undefined) throw new UserError(`the mount at ${name} does not answer: ${code}`);
  const status = await askStatus(mount).catch(() => undefined);
  return { mountpoint: path, source: mount.source, status };
}

/** What to open, and how. */
export interface Named {
  /** `CANISTER`, `CANISTER@NUMBER` or `CANISTER@CHANNEL`. */
  readonly text: string;
  readonly options: ReadingOptions;
}

/**
 * The release that a mount serves, on the network and by the mirrors that it is mounted from, unless others are given. Without the mount's own word it is
 * found by the time of the mount's root.
 *
 * @throws UserError when the canister never had it
 */
export async function served(
  { source: text, mountpoint, status }: IcfsMount,
  given: ReadingOptions,
  command: Command,
): Promise<Named> {
  const isGiven = (option: string) => command.getOptionValueSource(option) === "cli";
  if (status === undefined || isGiven("network")) return servedByTime(text, mountpoint, given);
  const { network, rootKey, source, release, canister } = status;
  const options = {
    ...given,
    ...(isGiven("mirror") || isGiven("mirrorOnly") ? {} : mirrorsOf(status, given)),
    network,
    ...(isGiven("rootKey") ? {} : { rootKey }),
    ...(isGiven("source") ? {} : { source }),
  };
  return { text: release === undefined ? text : `${canister}@${release}`, options };
}

/** The mount's own mirrors, if it has any. Their proofs may be as old as the mount's own is. */
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

/** @throws UserError when the mount's network was replaced by another, which is why; else the error */
async function explained(
  error: unknown,
  status: MountStatus | undefined,
  { network, mirrorOnly }: ReadingOptions,
): Promise<never> {
  const isAsked = !mirrorOnly && status?.network === network;
  const replaced = isAsked ? await replacedNetwork(status) : undefined;
  if (replaced === undefined) throw error;
  throw new UserError(`${replaced.message}: ${replaced.advice}`, { cause: error });
}

/**
 * The release that a mount serves, which it shows as the time of its root, and what kind of canister it is of. Of canisters
 * without numbers it can only be what they have now.
 *
 * @throws UserError when the canister never had it
 */
async function servedByTime(text: string, mountpoint: string, given: ReadingOptions): Promise<Named> {
  const address = await releaseAddressOf(text, given);
  if (address.release !== undefined) return { text, options: given };
  const { kind } = await openSourceOf(address, given);
  // So that it is not found out again.
  const options = { ...given, source: kind };
  if (kind !== "icfs") return { text, options };
  // What is mounted may not be what a channel stands for now: any release of the canister will do.
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
    `what is mounted at ${mountpoint} is no release of ${address.canister}: is --network the one it was mounted from?`,
  );
}
