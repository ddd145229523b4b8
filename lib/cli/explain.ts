/** icfs explain: what one boot fetched, with proof that its releases, their headers and the files' hashes belong together. */
import { Command } from "commander";
import { cacheDirectory } from "../directories.ts";
import { messageOf, UserError } from "../errors.ts";
import type { Boot } from "../ledger/boots.ts";
import type { Origin, Transfer } from "../ledger/line.ts";
import { jsonLine, oneLine } from "../log.ts";
import type { Release } from "../source/source.ts";
import { nameOf, VOUCHED } from "../source/words.ts";
import { hexOf } from "../tree/hash.ts";
import { entrySize, type Tree } from "../tree/tree.ts";
import { sizeText } from "../units.ts";
import { releaseAddressOf } from "./connect.ts";
import { readAs, senderOf } from "./icfs-mount.ts";
import { keptTree } from "./kept-release.ts";
import {
  bootLogOption,
  bootsIn,
  httpLogOption,
  type LogOptions,
  machineOf,
  momentOf,
  timesOf,
} from "./ledger.ts";
import { flag, named, option, type ReadingOptions, withMirrors } from "./options.ts";
import { openSourceOf } from "./reading.ts";
import { warnOfTrust } from "./warnings.ts";

interface ExplainOptions extends ReadingOptions, LogOptions {
  readonly offline?: boolean;
  readonly cacheDir: string;
  readonly json?: boolean;
}

/** What a release says about the files that a boot fetched from it. */
interface Explained {
  readonly canister: string;
  readonly release: number | undefined;
  /** From the log, or else of the release that was compared; undefined when neither is known. */
  readonly header: string | undefined;
  /** What vouches for the release, as text; undefined when it is not proved. */
  readonly vouched: string | undefined;
  /** Why the release is not proved; empty when it is. */
  readonly problem: string;
  readonly files: readonly { readonly transfer: Transfer; readonly problem: string }[];
}

export function explainCommand(): Command {
  const command = new Command("explain")
    .description(
      "say what a machine got when it booted, and prove against the canister's chain of releases that release, header and each file's hash belong together; exit code 1 if one does not. This proves what was sent, not what was booted: only the machine can attest that",
    )
    .argument("<mac>", "the machine's MAC; or its address", machineOf)
    .argument(
      "[time]",
      "the last boot that had begun by then: 2026-11-30T07:00:00Z, or how long ago: 12h, 7d; default: the last one",
      momentOf,
    )
    .addOption(bootLogOption())
    .addOption(httpLogOption())
    .addOption(flag("--offline", "prove it by what this host has kept alone, and never ask the network"))
    .addOption(
      option("--cache-dir <dir>", "where a mount or `icfs serve` has kept the release, which is asked first")
        .default(cacheDirectory())
        .argParser(named("a directory")),
    )
    .addOption(
      flag(
        "--json",
        "print one object: mac, address, since, until, proved, releases (canister, release, header, vouched, problem, files), unknown",
      ),
    );
  return withMirrors(command).action(explain);
}

async function explain(
  machine: string,
  time: number | undefined,
  options: ExplainOptions,
  command: Command,
): Promise<void> {
  const boot = await bootOf(machine, time, options);
  const { mac, address, transfers } = boot;
  const releases: Explained[] = [];
  for (const sent of byRelease(transfers)) releases.push(await proved(sent, options, command));
  const unknown = transfers.filter(({ origin }) => origin === undefined);
  const isProved =
    unknown.length === 0 &&
    releases.every(({ problem, files }) => problem === "" && files.every((file) => file.problem === ""));
  if (options.json) {
    console.log(jsonLine({ mac, address, ...timesOf(boot), proved: isProved, releases, unknown }));
  } else {
    const { since, until } = timesOf(boot);
    const lines = [`${mac ?? "no MAC"} ${address}, ${since} to ${until}`, ...releases.flatMap(releaseLines)];
    lines.push(...unknown.map(({ file }) => `${file}: of no release that is known`));
    console.log(lines.map(oneLine).join("\n"));
  }
  if (!isProved) throw new UserError(`what ${machine} got at ${timesOf(boot).since} is not proved`);
}

/** @throws UserError when the ledger has no such boot */
async function bootOf(machine: string, time = Number.POSITIVE_INFINITY, logs: LogOptions): Promise<Boot> {
  let found: Boot | undefined;
  for await (const boot of bootsIn(logs, machine)) {
    if (Date.parse(timesOf(boot).since) <= time) found = boot;
  }
  if (found !== undefined) return found;
  const by = time === Number.POSITIVE_INFINITY ? "" : ` by ${new Date(time).toISOString()}`;
  throw new UserError(
    `${[logs.bootLog, ...(logs.httpLog ?? [])].join(", ")} has no boot of ${machine}${by}: \`icfs boots\` lists what it has`,
  );
}

type Sent = Transfer & { readonly origin: Origin };

function byRelease(transfers: readonly Transfer[]): Sent[][] {
  const isSent = (transfer: Transfer): transfer is Sent => transfer.origin !== undefined;
  const groups = Map.groupBy(
    transfers.filter(isSent),
    ({ origin: { canister, channel, release, header } }) => `${canister} ${channel} ${release} ${header}`,
  );
  return [...groups.values()];
}

/**
 * What the release of these files says about them. If it cannot be read, or is not the canister's, the result says why.
 *
 * @param sent files of one release
 * @throws UserError when the mount that sent them does not answer
 */
async function proved(sent: readonly Sent[], options: ExplainOptions, command: Command): Promise<Explained> {
  const [{ file, origin }] = sent as [Sent, ...Sent[]];
  const { canister, channel, release: number, header } = origin;
  const sender = await senderOf(file);
  const how = sender === undefined ? options : readAs(sender.mount, options, command);
  const what = { canister, release: number, header };
  const by = (release: Release, tree: Tree): Explained => {
    warnOfTrust(canister, release.verified);
    const files = sent.map((transfer) => ({ transfer, problem: fileProblem(transfer, tree) }));
    // A log without the header may lack the number as well. Then the newest release is compared: the sent file either is in it or
    // is not.
    const compared = { ...what, release: release.number, header: hexOf(release.hash) };
    return { ...compared, vouched: VOUCHED[release.verified], problem: "", files };
  };
  const channelName = channel === undefined ? canister : `${canister}@${channel}`;
  const name = number === undefined ? channelName : `${canister}@${number}`;
  if (header !== undefined) {
    const names = [name, canister, channelName, sender?.mount.source].filter((one) => one !== undefined);
    const kept = await keptTree(names, header, options.cacheDir, how);
    if (kept !== undefined) return by(kept.release, kept.tree);
  }
  if (options.offline) {
    const problem = `it is not kept in ${options.cacheDir}: leave out --offline, or name a mirror that has it (\`icfs mirror ${name} DIR\`, then --mirror file:DIR --mirror-only)`;
    return { ...what, vouched: undefined, problem, files: unproved(sent) };
  }
  let release: Release;
  let tree: Tree;
  try {
    const source = await openSourceOf(await releaseAddressOf(name, how), how);
    release = await source.newest();
    if (header !== undefined && hexOf(release.hash) !== header) {
      const problem = `the canister's ${nameOf(release)} has another header: ${hexOf(release.hash)}`;
      return { ...what, vouched: undefined, problem, files: unproved(sent) };
    }
    tree = await source.tree(release);
  } catch (error) {
    return { ...what, vouched: undefined, problem: messageOf(error), files: unproved(sent) };
  }
  return by(release, tree);
}

function unproved(sent: readonly Sent[]): Explained["files"] {
  return sent.map((transfer) => ({ transfer, problem: "its release is not proved" }));
}

/** How the ledger's data about a file differ from the release. */
function fileProblem({ size, origin: { path, sha256 } }: Sent, tree: Tree): string {
  const entry = tree.find(path)?.entry;
  if (entry?.kind !== "file") return "the release has no such file";
  if (sha256 === undefined || entry.sha256 === undefined) return "its hash was not known";
  if (hexOf(entry.sha256) !== sha256) return `the release has another one, of SHA-256 ${hexOf(entry.sha256)}`;
  if (entrySize(entry) !== size)
    return `${size} bytes were sent, and it has ${entrySize(entry)}: the mount had switched before the line was written`;
  return "";
}

function releaseLines({ canister, release, header, vouched, problem, files }: Explained): string[] {
  const name = release === undefined ? "snapshot" : `release ${release}`;
  const proof = header === undefined ? "" : `, header ${header}`;
  return [
    `${name} of ${canister}${proof}: ${problem === "" ? vouched : problem}`,
    ...files.map(
      ({ transfer: { via, origin, size }, problem: wrong }) =>
        `  ${origin?.path}, ${sizeText(size)}, SHA-256 ${origin?.sha256 ?? "unknown"}: ${wrong || "as in the release"}${via === "http" ? " (by HTTP)" : ""}`,
    ),
  ];
}
