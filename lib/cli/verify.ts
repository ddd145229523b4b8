/** icfs verify: checks that a whole release is correct, that a directory equals it, and that a mount serves it. */
import { Command } from "commander";
import { replacedNetwork } from "../doctor/replaced-network.ts";
import { UserError } from "../errors.ts";
import type { MountStatus } from "../live/report/status.ts";
import { jsonLine, oneLine } from "../log.ts";
import { readLocalFiles } from "../publish/icboot/local-files.ts";
import { readLocalTree } from "../publish/local-tree.ts";
import { createProgress, stopOnSignals } from "../publish/progress.ts";
import type { MirrorHealth } from "../source/icfs/mirrors.ts";
import { IcfsRelease } from "../source/icfs/source.ts";
import type { Release, SourceKind, Verification } from "../source/source.ts";
import { nameOf, namesOf, type ReleaseNames, VOUCHED } from "../source/words.ts";
import { areNone, type Differences, differenceLines } from "../tree/diff.ts";
import { countText, sizeText } from "../units.ts";
import { compareDirectory, fileProblems, mountProblems, totalsProblems } from "../verify.ts";
import { isRelease } from "./addresses.ts";
import { checkOrder } from "./argument-order.ts";
import { type DirectoryOptions, readingOf, withDirectory } from "./directory-options.ts";
import { findMount, served } from "./icfs-mount.ts";
import { mirrorText } from "./mirror-text.ts";
import { flag, named, type ReadingOptions, withMirrors } from "./options.ts";
import { openForReading } from "./reading.ts";
import { readingCache } from "./reading-cache.ts";

interface VerifyOptions extends ReadingOptions, DirectoryOptions {
  readonly json?: boolean;
}

/** The output of --json. */
interface Result extends ReleaseNames {
  readonly canister: string;
  readonly source: SourceKind;
  readonly verified: Verification;
  readonly files: number;
  /** Total size of all files, in bytes. */
  readonly bytes: number;
  /** Including those of the manifest. */
  readonly chunks: number;
  /** What each mirror delivered, and its failures; absent without mirrors. */
  readonly mirrors?: readonly MirrorHealth[];
  readonly problems: readonly string[];
  /** What publishing the directory would change; absent without one. */
  readonly differences?: Differences;
}

export function verifyCommand(): Command {
  const command = new Command("verify")
    .description("check a release as a whole, every chunk and every file; exit code 1 when anything is wrong")
    .argument(
      "<canister|mountpoint>",
      "canister id, also with @NUMBER or @CHANNEL; or a mountpoint, or a channel's directory in a mount of all channels, whose files are read as well; the network and the mirrors are the mount's own unless --network or --mirror names others",
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
  // First, before the slow parts.
  const reading = directory === undefined ? undefined : await readingOf(options, command);
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
      directory === undefined || reading === undefined
        ? undefined
        : await compareDirectory(
            tree,
            directory,
            reading,
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

/** @throws UserError when there are problems, after printing them */
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
      `${name} (${release.hash.toString("hex")}) is intact: ${files} files, ${sizeText(bytes)}, ${chunks} chunks verified, ${VOUCHED[verified]}${same.join("")}`,
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

/** @throws UserError when the reason is that another network has replaced the mount's; otherwise the original error */
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
