/** icfs status: what a mount serves, how old its proof is, and how it does; or what a canister holds (canister-status.ts). */
import { lstatSync } from "node:fs";
import { Command } from "commander";
import { messageOf, UsageError, UserError } from "../errors.ts";
import { MOUNT_TYPE, type Mount, mountAt, readMounts } from "../fs/mounting/mountinfo.ts";
import { locate } from "../fs/mounting/probe.ts";
import { parsePrincipalText } from "../ic/agent.ts";
import { jsonLine, oneLine } from "../log.ts";
import { askStatus } from "../mount/report/control.ts";
import type { MountStatus } from "../mount/report/status.ts";
import { namedInWords, VOUCHED } from "../source/words.ts";
import { ageText, limitText, sizeText } from "../units.ts";
import { mirrorText } from "./mirror-text.ts";
import { flag, type NetworkOptions, named, withNetwork } from "./options.ts";

/** Whether a network has been replaced is worth so long a wait, and no longer. */
const NETWORK_LIMIT_MS = 1000;

export function statusCommand(): Command {
  const command = new Command("status")
    .description(
      "say what mounts serve and how they do, or what a canister holds; exit code 1 when one does not answer",
    )
    .argument(
      "[mountpoint|canister]",
      "default: every icfs mount; a canister id: what that says of itself",
      named("a mountpoint or a canister"),
    )
    .addOption(flag("--json", "print an array with an object for each mount; of a canister one object"));
  return withNetwork(command, "none, anonymous").action(status);
}

async function status(name: string | undefined, options: NetworkOptions & { json?: boolean }): Promise<void> {
  if (name !== undefined && parsePrincipalText(name) !== undefined) {
    const { printCanisterStatus } = await import("./canister-status.ts");
    return printCanisterStatus(name, options);
  }
  return mountStatus(name, options.json === true);
}

/** What a name that is nothing's was meant to be. @throws UsageError, unless it can be a mountpoint */
function checkMeant(name: string): void {
  const [canister, ...release] = name.split("@");
  if (release.length > 0 && parsePrincipalText(canister!) !== undefined) {
    throw new UsageError(
      `a canister tells its status of now, and of no release: \`icfs status ${canister}\`; \`icfs releases ${canister}\` lists those`,
    );
  }
  // Nothing is mounted on it, so that looking at it waits for no other process.
  if (!name.includes("/") && lstatSync(name, { throwIfNoEntry: false }) === undefined) {
    throw new UsageError(`"${name}" is neither a mountpoint nor a canister id`);
  }
}

async function mountStatus(mountpoint: string | undefined, json: boolean): Promise<void> {
  const found: MountStatus[] = [];
  const problems: string[] = [];
  for (const mount of await mountsOf(mountpoint)) {
    try {
      found.push(await withReason(await askStatus(mount)));
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  if (json) console.log(jsonLine(found));
  else if (found.length > 0) console.log(found.map(text).join("\n\n"));
  else if (problems.length === 0) console.log("nothing is mounted");
  if (problems.length > 0) throw new UserError(problems.join("; "));
}

/** @throws UserError when no mount of ours is there */
async function mountsOf(mountpoint: string | undefined): Promise<Mount[]> {
  const mounts = await readMounts();
  if (mountpoint === undefined) return mounts.filter(({ type }) => type === MOUNT_TYPE);
  const mount = mountAt(mounts, await locate(mountpoint));
  if (mount === undefined) checkMeant(mountpoint);
  if (mount?.type !== MOUNT_TYPE) throw new UserError(`${mountpoint} is not an icfs mount`);
  return [mount];
}

/** Where a mount gets no answer that it accepts since another network has taken the place of its own, it says so. */
async function withReason(status: MountStatus): Promise<MountStatus> {
  if (status.problem === undefined) return status;
  // Loaded here alone: it loads what talks to networks.
  const { replacedNetwork } = await import("../doctor/replaced-network.ts");
  const replaced = await replacedNetwork(status, NETWORK_LIMIT_MS);
  return replaced === undefined ? status : { ...status, problem: `${replaced.message}: ${replaced.advice}` };
}

function text(status: MountStatus): string {
  const { readers, cache, disk, site, next, hydration, lastError } = status;
  const lines: [string, string | undefined][] = [
    [
      status.release === undefined ? "snapshot" : "release",
      `${status.release ?? status.snapshot?.slice(0, 16)} of ${status.canister} (${status.header ?? status.snapshot})`,
    ],
    ["channel", status.channel && `${status.channel} (record ${status.serial})`],
    ["content", `${status.files} files, ${sizeText(status.bytes)}${status.hydrated ? ", all here" : ""}`],
    ["verified", VOUCHED[status.verified]],
    ["hydration", hydration && !status.hydrated ? progressText(hydration) : undefined],
    [
      "proof",
      `${status.verified === "certified" ? "certified" : "read"} ${ageText(1000 * status.proofAge)} ago`,
    ],
    ["network", `${status.network}: ${networkText(status)}`],
    ...gatewayLines(status),
    ...status.mirrors.map((mirror): [string, string] => ["mirror", mirrorText(mirror)]),
    ["next", next && `${namedInWords(next)}: ${next.state}`],
    [
      "readers",
      `${status.openFiles} files open, ${readers.opens} opens, ${sizeText(readers.bytes)} read, ${readers.errors} errors`,
    ],
    [
      "cache",
      `${cache.hits} hits in memory, ${cache.diskHits} on disk, ${cache.misses} misses; ${sizeText(cache.memoryUsed)} of ${limitText(cache.memory)} in memory`,
    ],
    [
      "fetched",
      `${cache.chunksVerified} chunks, ${sizeText(cache.bytesVerified)}, all verified; ${cache.failures} attempts failed`,
    ],
    ["queue", `${cache.underWay} chunks under way`],
    ["outage", cache.failingSince && `cold reads fail at once since ${cache.failingSince}`],
    ["serves", site && siteText(site)],
    ["disk", disk ? diskText(disk) : "none"],
    ["last error", lastError ? `${lastError.at} ${lastError.message}` : "none"],
    ["process", String(status.pid)],
  ];
  const shown = lines.filter((line): line is [string, string] => line[1] !== undefined);
  return [status.mountpoint, ...shown.map(([name, value]) => `  ${name.padEnd(10)} ${value}`)]
    .map(oneLine)
    .join("\n");
}

function networkText({ mirrorOnly, problem, fromNetwork, ...status }: MountStatus): string {
  const answered = problem ?? answeredText(status);
  if (mirrorOnly) return `never asked (--mirror-only); of the mirrors: ${answered}`;
  if (fromNetwork === undefined) return answered;
  return `${answered}; ${fromNetwork.chunks} chunks came from it, ${sizeText(fromNetwork.bytes)}`;
}

function answeredText({ checkedAt, mirrors }: Pick<MountStatus, "checkedAt" | "mirrors">): string {
  if (checkedAt === undefined) return "not asked since the mount";
  const ago = `${ageText(Date.now() - Date.parse(checkedAt))} ago`;
  return mirrors.length === 0 ? `answered ${ago}` : `it, or a mirror, answered ${ago}`;
}

/** A line for each gateway, where there are several. */
function gatewayLines({ gateways }: MountStatus): [string, string][] {
  if (gateways.length < 2) return [];
  return gateways.map(({ url, usual, answers, failures, late, limited, wrong, aside }) => {
    const time = usual === undefined ? "" : `, usually begun in ${usual} ms`;
    const state = aside === undefined ? "" : `; put aside until ${aside.until}: ${aside.why}`;
    return [
      "gateway",
      `${url}: ${answers} answers${time}; ${failures} failures, ${late} late, ${limited} limited, ${wrong} wrong${state}`,
    ];
  });
}

function siteText(site: NonNullable<MountStatus["site"]>): string {
  const { url, connections, chunks, files, bytes, missing, broken, cutOff } = site;
  return `${url}: ${connections} connections; ${chunks} chunks and ${files} files given, ${sizeText(bytes)}; ${missing} missing, ${broken} broken off, ${cutOff} cut off`;
}

function diskText(disk: NonNullable<MountStatus["disk"]>): string {
  const counts = `${sizeText(disk.bytesRead)} read, ${sizeText(disk.bytesWritten)} written, ${disk.corrupt} corrupt chunks found`;
  const used = disk.used === undefined ? "" : `; takes ${sizeText(disk.used)} of ${limitText(disk.capacity)}`;
  const problem = disk.problem === undefined ? "" : `; cannot be written to: ${disk.problem}`;
  return `${disk.directory}: ${counts}${used}${problem}`;
}

function progressText({ files, filesDone, bytes, bytesDone }: NonNullable<MountStatus["hydration"]>): string {
  return `${filesDone} of ${files} files, ${sizeText(bytesDone)} of ${sizeText(bytes)}`;
}
