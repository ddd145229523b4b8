/** icfs verify: is a release all right, as a whole; is a directory the same; does a mount serve it. */
import { stat } from "node:fs/promises";
import { Command } from "commander";
import { UserError } from "../errors.ts";
import { MOUNT_TYPE, mountAt, readMounts } from "../fs/mountinfo.ts";
import { inspect } from "../fs/probe.ts";
import { oneLine } from "../log.ts";
import { createProgress, stopOnSignals } from "../publish/progress.ts";
import { ancestors, type VerifiedHeader } from "../source/chain.ts";
import { openHead, openRelease, openSource, type ReleaseAddress } from "../source/open.ts";
import type { Source } from "../source/source.ts";
import { areNone, type Differences, differenceLines } from "../tree/diff.ts";
import { megabytes } from "../units.ts";
import { compareDirectory, mountProblems, releaseProblems } from "../verify.ts";
import { readingCache } from "./chunks.ts";
import {
  flag,
  type NetworkOptions,
  parseRelease,
  REQUEST_TIMEOUT_MS,
  releaseAddressOf,
  withNetwork,
} from "./options.ts";

interface VerifyOptions extends NetworkOptions {
  readonly json?: boolean;
}

/** What --json prints. */
interface Verification {
  readonly canister: string;
  readonly release: number;
  /** SHA-256 of the release's header, in hexadecimal. */
  readonly header: string;
  readonly files: number;
  /** Bytes of all files together. */
  readonly bytes: number;
  /** The manifest's own included. */
  readonly chunks: number;
  readonly problems: readonly string[];
  /** What publishing the directory would change; not there without one. */
  readonly differences?: Differences;
}

export function verifyCommand(): Command {
  const command = new Command("verify")
    .description("check a release as a whole, every chunk and every file; exit code 1 when anything is wrong")
    .argument(
      "<canister|mountpoint>",
      "canister id, also with @NUMBER; or where one is mounted: what is served is read as well",
    )
    .argument("[directory]", "compare with this directory; times do not count")
    .addOption(
      flag(
        "--json",
        "print one object: canister, release, header, files, bytes, chunks, problems, differences",
      ),
    );
  return withNetwork(command, "none, anonymous").action(verify);
}

async function verify(name: string, directory: string | undefined, options: VerifyOptions): Promise<void> {
  const mount = isRelease(name) ? undefined : await findMount(name);
  const named = await releaseAddressOf(mount?.source ?? name, options);
  const source = openSource(named, REQUEST_TIMEOUT_MS);
  const address = mount === undefined ? named : await served(named, source, mount.mountpoint);
  const release = await openRelease(address, source);
  const progress = createProgress(process.stderr);
  stopOnSignals(progress);
  let result: Verification;
  try {
    const problems = await releaseProblems(release, readingCache(source), progress);
    if (mount !== undefined) problems.push(...(await mountProblems(release, mount.mountpoint, progress)));
    const compared =
      directory === undefined ? undefined : await compareDirectory(release, directory, progress);
    const { header, hash, tree } = release;
    result = {
      canister: address.canister.toText(),
      release: header.number,
      header: hash.toString("hex"),
      files: header.totals.files,
      bytes: tree.bytes,
      chunks: tree.chunks.length + header.manifest.chunks.length,
      problems: [...problems, ...(compared?.problems ?? [])],
      ...(compared === undefined ? {} : { differences: compared.differences }),
    };
  } finally {
    progress.stop();
  }
  report(result, options, [mount?.mountpoint, directory]);
}

/** @throws UserError when not all is well, after printing what is wrong */
function report(
  result: Verification,
  { json }: VerifyOptions,
  others: readonly (string | undefined)[],
): void {
  const { canister, release, header, files, bytes, chunks, problems, differences } = result;
  const lines = differences === undefined ? [] : differenceLines(differences);
  const same = others.filter((other) => other !== undefined).map((other) => `; ${other} is the same`);
  if (json) console.log(JSON.stringify(result));
  else if (problems.length + lines.length > 0) console.log([...problems.map(oneLine), ...lines].join("\n"));
  else {
    console.log(
      `release ${release} of ${canister} (${header}) is all right: ${files} files, ${megabytes(bytes)}, ${chunks} chunks verified${same.join("")}`,
    );
  }
  if (problems.length > 0 || (differences !== undefined && !areNone(differences))) {
    const found = [counted(problems.length, "problem"), counted(lines.length, "difference")];
    throw new UserError(`release ${release} of ${canister}: ${found.filter(Boolean).join(", ")}`);
  }
}

function counted(count: number, what: string): string {
  return count === 0 ? "" : `${count} ${what}${count === 1 ? "" : "s"}`;
}

function isRelease(text: string): boolean {
  try {
    parseRelease(text);
    return true;
  } catch {
    return false;
  }
}

interface IcfsMount {
  /** Absolute, without symlinks. */
  readonly mountpoint: string;
  /** The canister or release, as whoever mounted it named it. */
  readonly source: string;
}

/** @throws UserError when no mount of ours that answers is there */
async function findMount(name: string): Promise<IcfsMount> {
  const { path, code } = await inspect(name);
  const mount = mountAt(await readMounts(), path);
  if (mount?.type !== MOUNT_TYPE) {
    // Without a slash it was more likely meant to be a canister.
    if (code === "ENOENT" && !name.includes("/")) parseRelease(name);
    throw new UserError(`${name} is neither a canister id nor an icfs mount`);
  }
  if (code !== undefined) throw new UserError(`the mount at ${name} does not answer: ${code}`);
  return { mountpoint: path, source: mount.source };
}

/**
 * The release that a mount serves: the one that was the newest when it was made, which it shows as the time of its root.
 *
 * @throws UserError when the canister never had it
 */
async function served(address: ReleaseAddress, source: Source, mountpoint: string): Promise<ReleaseAddress> {
  if (address.release !== undefined) return address;
  const head = await openHead(address, source);
  const { mtimeMs } = await stat(mountpoint);
  const isIt = ({ header }: VerifiedHeader) => header.publishedAt.getTime() === Math.round(mtimeMs);
  if (isIt(head)) return address;
  for await (const release of ancestors(head, source)) {
    if (isIt(release)) return { ...address, release: release.header.number };
  }
  throw new UserError(
    `what is mounted at ${mountpoint} is no release of ${address.canister}: is --network the one it was mounted from?`,
  );
}
