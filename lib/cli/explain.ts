/** icfs explain: what one boot got, and the proof that its releases, their headers and the files' hashes belong together. */
import { Command } from "commander";
import { messageOf, UserError } from "../errors.ts";
import type { Boot } from "../ledger/boots.ts";
import type { Origin, Transfer } from "../ledger/line.ts";
import { jsonLine, oneLine } from "../log.ts";
import type { Release } from "../source/source.ts";
import { nameOf, VOUCHED } from "../source/words.ts";
import { hexOf } from "../tree/hash.ts";
import { entrySize, type Tree } from "../tree/tree.ts";
import { sizeText } from "../units.ts";
import { releaseAddressOf } from "./addresses.ts";
import { bootLogOption, bootsIn, machineOf, momentOf, senderOf, timesOf } from "./ledger.ts";
import { flag, type ReadingOptions, withMirrors } from "./options.ts";
import { openSourceOf } from "./reading.ts";
import { warnOfTrust } from "./warnings.ts";

interface ExplainOptions extends ReadingOptions {
  readonly bootLog: string;
  readonly json?: boolean;
}

/** What a release says of the files that a boot got of it. */
interface Explained {
  readonly canister: string;
  readonly release: number | undefined;
  readonly header: string;
  /** What vouches for it, in words; undefined when it is not proved. */
  readonly vouched: string | undefined;
  /** What is wrong with the release; empty when it is proved. */
  readonly problem: string;
  readonly files: readonly { readonly transfer: Transfer; readonly problem: string }[];
}

export function explainCommand(): Command {
  const command = new Command("explain")
    .description(
      "say what a machine got when it booted, and prove against the canister's chain of releases that release, header and each file's hash belong together; exit code 1 when one does not. What was sent is not yet what was booted: only the machine can attest that",
    )
    .argument("<mac>", "the machine's MAC; or its address", machineOf)
    .argument(
      "[time]",
      "the last boot that had begun by then: 2026-11-30T07:00:00Z, or how long ago: 12h, 7d; default: the last one",
      momentOf,
    )
    .addOption(bootLogOption())
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
  const boot = await bootOf(machine, time, options.bootLog);
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

/** @throws UserError when the ledger has none */
async function bootOf(machine: string, time = Number.POSITIVE_INFINITY, log: string): Promise<Boot> {
  let found: Boot | undefined;
  for await (const boot of bootsIn(log, machine)) {
    if (Date.parse(timesOf(boot).since) <= time) found = boot;
  }
  if (found !== undefined) return found;
  const by = time === Number.POSITIVE_INFINITY ? "" : ` by ${new Date(time).toISOString()}`;
  throw new UserError(`${log} has no boot of ${machine}${by}: \`icfs boots\` lists what it has`);
}

type Sent = Transfer & { readonly origin: Origin };

function byRelease(transfers: readonly Transfer[]): Sent[][] {
  const isSent = (transfer: Transfer): transfer is Sent => transfer.origin !== undefined;
  const groups = Map.groupBy(
    transfers.filter(isSent),
    ({ origin: { canister, release, header } }) => `${canister} ${release} ${header}`,
  );
  return [...groups.values()];
}

/** @param sent of one release. @throws UserError when the network does not answer, or is not the canister's */
async function proved(sent: readonly Sent[], options: ExplainOptions, command: Command): Promise<Explained> {
  const [{ file, origin }] = sent as [Sent, ...Sent[]];
  const { canister, release: number, header } = origin;
  const sender = await senderOf(file, options, command);
  const how = sender?.options ?? options;
  const address = await releaseAddressOf(number === undefined ? canister : `${canister}@${number}`, how);
  const source = await openSourceOf(address, how);
  const named = { canister, release: number, header };
  let release: Release;
  let tree: Tree;
  try {
    release = await source.newest();
    if (hexOf(release.hash) !== header) {
      const problem = `the canister's ${nameOf(release)} has another header: ${hexOf(release.hash)}`;
      return { ...named, vouched: undefined, problem, files: unproved(sent) };
    }
    tree = await source.tree(release);
  } catch (error) {
    return { ...named, vouched: undefined, problem: messageOf(error), files: unproved(sent) };
  }
  warnOfTrust(canister, release.verified);
  const files = sent.map((transfer) => ({ transfer, problem: fileProblem(transfer, tree) }));
  return { ...named, vouched: VOUCHED[release.verified], problem: "", files };
}

function unproved(sent: readonly Sent[]): Explained["files"] {
  return sent.map((transfer) => ({ transfer, problem: "its release is not proved" }));
}

/** What is wrong with what the ledger has of a file. */
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
  return [
    `${name} of ${canister}, header ${header}: ${problem === "" ? vouched : problem}`,
    ...files.map(
      ({ transfer: { origin, size }, problem: wrong }) =>
        `  ${origin?.path}, ${sizeText(size)}, SHA-256 ${origin?.sha256 ?? "unknown"}: ${wrong || "as in the release"}`,
    ),
  ];
}
