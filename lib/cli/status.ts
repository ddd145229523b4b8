/**
 * icfs status: shows what a mount or `icfs serve` serves, how old its proof is, and its health; or what a canister holds
 * (canister-status.ts).
 */
import { lstatSync } from "node:fs";
import { Command } from "commander";
import { messageOf, UsageError, UserError } from "../errors.ts";
import { MOUNT_TYPE, type Mount, mountAt, readMounts } from "../fs/mounting/mountinfo.ts";
import { locate } from "../fs/mounting/probe.ts";
import { parsePrincipalText } from "../ic/canister-id.ts";
import { askHosts, askStatus } from "../live/report/control.ts";
import type { AnyStatus, MountStatus, ReleaseStatus } from "../live/report/status.ts";
import { jsonLine, oneLine } from "../log.ts";
import { namedInWords, VOUCHED } from "../source/words.ts";
import { ageText, countText, limitText, sizeText } from "../units.ts";
import { mirrorText } from "./mirror-text.ts";
import { flag, type NetworkOptions, named, withNetwork } from "./options.ts";

/** Finding out whether a network was replaced is worth this wait, but no more. */
const NETWORK_LIMIT_MS = 1000;

export function statusCommand(): Command {
  const command = new Command("status")
    .description(
      "show what mounts and `icfs serve` processes serve and how they are doing, or what a canister holds; exit code 1 if one does not answer",
    )
    .argument(
      "[mountpoint|canister]",
      "default: every icfs mount, and every `icfs serve` that one may ask; a canister id: what that says of itself",
      named("a mountpoint or a canister"),
    )
    .addOption(
      flag(
        "--json",
        "print an array with an object for each mount and each `icfs serve`; of a canister one object",
      ),
    );
  return withNetwork(command, "none, anonymous").action(status);
}

async function status(name: string | undefined, options: NetworkOptions & { json?: boolean }): Promise<void> {
  if (name !== undefined && parsePrincipalText(name) !== undefined) {
    const { printCanisterStatus } = await import("./canister-status.ts");
    return printCanisterStatus(name, options);
  }
  return mountStatus(name, options.json === true);
}

/** Guesses what a name that does not exist was meant to be. @throws UsageError, unless it can be a mountpoint */
function checkMeant(name: string): void {
  const [canister, ...release] = name.split("@");
  if (release.length > 0 && parsePrincipalText(canister!) !== undefined) {
    throw new UsageError(
      `a canister has one status, and none for each release: \`icfs status ${canister}\`; \`icfs releases ${canister}\` lists those`,
    );
  }
  // Nothing is mounted on it, so lstat cannot block on another process.
  if (!name.includes("/") && lstatSync(name, { throwIfNoEntry: false }) === undefined) {
    throw new UsageError(`"${name}" is neither a mountpoint nor a canister id`);
  }
}

async function mountStatus(mountpoint: string | undefined, json: boolean): Promise<void> {
  const found: AnyStatus[] = [];
  const problems: string[] = [];
  for (const mount of await mountsOf(mountpoint)) {
    try {
      found.push(await withReason(await askStatus(mount)));
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  for (const answer of mountpoint === undefined ? await askHosts() : []) {
    if (answer instanceof Error) problems.push(messageOf(answer));
    else found.push(answer);
  }
  if (json) console.log(jsonLine(found));
  else if (found.length > 0) console.log(found.map(text).join("\n\n"));
  else if (problems.length === 0) console.log("nothing is mounted, or served by `icfs serve`");
  if (problems.length > 0) throw new UserError(problems.join("; "));
}

/** @throws UserError when there is no icfs mount */
async function mountsOf(mountpoint: string | undefined): Promise<Mount[]> {
  const mounts = await readMounts();
  if (mountpoint === undefined) return mounts.filter(({ type }) => type === MOUNT_TYPE);
  const mount = mountAt(mounts, await locate(mountpoint));
  if (mount === undefined) checkMeant(mountpoint);
  if (mount?.type !== MOUNT_TYPE) throw new UserError(`${mountpoint} is not an icfs mount`);
  return [mount];
}

/** Adds the reason when a mount rejects every answer because its network was replaced by another one. */
async function withReason(status: MountStatus): Promise<MountStatus> {
  if (status.problem === undefined) return status;
  // Loaded only here, because it loads the network code.
  const { replacedNetwork } = await import("../doctor/replaced-network.ts");
  const replaced = await replacedNetwork(status, NETWORK_LIMIT_MS);
  return replaced === undefined ? status : { ...status, problem: `${replaced.message}: ${replaced.advice}` };
}

function text(status: AnyStatus): string {
  const { mountpoint, openFiles, readers, cache, disk, site, next, hydration, lastError } = status;
  const lines: [string, string | undefined][] = [
    ...servedLines(status),
    ["content", `${status.files} files, ${sizeText(status.bytes)}${status.hydrated ? ", all here" : ""}`],
    ["verified", VOUCHED[status.verified]],
    ["hydration", hydration && !status.hydrated ? progressText(hydration) : undefined],
    [
      "proof",
      `${status.verified === "certified" ? "certified" : "read"} ${ageText(1000 * status.proofAge)} ago`,
    ],
    ["network", `${status.network}: ${networkText(status)}`],
    ["proxy", status.proxy],
    ...gatewayLines(status),
    ...status.mirrors.map((mirror): [string, string] => ["mirror", mirrorText(mirror)]),
    ["next", next && `${namedInWords(next)}: ${next.state}`],
    [
      "readers",
      readers &&
        `${openFiles} files open, ${readers.opens} opens, ${sizeText(readers.bytes)} read, ${readers.errors} errors`,
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
    // Only readers of a mount get errors; HTTP clients get an error status.
    ["last error", lastError ? `${lastError.at} ${lastError.message}` : readers && "none"],
    ["process", String(status.pid)],
    ["program", `icfs ${status.version ?? "before 0.2.0"}`],
  ];
  const shown = lines.filter((line): line is [string, string] => line[1] !== undefined);
  return [
    mountpoint ?? `${site?.url} (icfs serve)`,
    ...shown.map(([name, value]) => `  ${name.padEnd(10)} ${value}`),
  ]
    .map(oneLine)
    .join("\n");
}

/** The lines for the served release, or for that of each channel. */
function servedLines(status: AnyStatus): [string, string | undefined][] {
  const { canister, channels, release, header, snapshot, channel, serial } = status;
  if (channels === undefined) {
    return [
      [
        release === undefined ? "snapshot" : "release",
        `${release ?? snapshot?.slice(0, 16)} of ${canister} (${header ?? snapshot})`,
      ],
      ["channel", channel && `${channel} (record ${serial})${deletedText(status)}`],
    ];
  }
  return [
    ["channels", `${channels.length === 0 ? "none" : channels.length} of ${canister}`],
    ...channels.map((one): [string, string] => ["channel", channelText(one)]),
  ];
}

function channelText(one: ReleaseStatus): string {
  const { channel, serial, release, header, files, bytes, hydrated, hydration, proofAge, next } = one;
  const here = hydrated ? "all here" : hydration && `${progressText(hydration)} here`;
  const parts = [
    `${channel}: release ${release} (${header}), record ${serial}${deletedText(one)}`,
    [`${countText(files, "file")}, ${sizeText(bytes)}`, here].filter(Boolean).join(", "),
    `certified ${ageText(1000 * proofAge)} ago`,
    next && `next ${namedInWords(next)}: ${next.state}`,
  ];
  return parts.filter(Boolean).join("; ");
}

function deletedText({ channelDeleted }: ReleaseStatus): string {
  return channelDeleted ? "; deleted on the canister since: this is the last release that it stood for" : "";
}

function networkText({ mirrorOnly, problem, fromNetwork, ...status }: AnyStatus): string {
  const answered = problem ?? answeredText(status);
  if (mirrorOnly) return `never asked (--mirror-only); of the mirrors: ${answered}`;
  if (fromNetwork === undefined) return answered;
  return `${answered}; ${fromNetwork.chunks} chunks came from it, ${sizeText(fromNetwork.bytes)}`;
}

function answeredText({ checkedAt, mirrors }: Pick<AnyStatus, "checkedAt" | "mirrors">): string {
  if (checkedAt === undefined) return "not asked since it began";
  const ago = `${ageText(Date.now() - Date.parse(checkedAt))} ago`;
  return mirrors.length === 0 ? `answered ${ago}` : `it, or a mirror, answered ${ago}`;
}

/** One line for each gateway, where there are several. */
function gatewayLines({ gateways }: AnyStatus): [string, string][] {
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

function siteText(site: NonNullable<AnyStatus["site"]>): string {
  const { url, connections, chunks, files, bytes, missing, broken, cutOff } = site;
  return `${url}: ${connections} connections; ${chunks} chunks and ${files} files given, ${sizeText(bytes)}; ${missing} missing, ${broken} broken off, ${cutOff} cut off`;
}

function diskText(disk: NonNullable<AnyStatus["disk"]>): string {
  const counts = `${sizeText(disk.bytesRead)} read, ${sizeText(disk.bytesWritten)} written, ${disk.corrupt} corrupt chunks found`;
  const used = disk.used === undefined ? "" : `; takes ${sizeText(disk.used)} of ${limitText(disk.capacity)}`;
  const problem = disk.problem === undefined ? "" : `; cannot be written to: ${disk.problem}`;
  return `${disk.directory}: ${counts}${used}${problem}`;
}

function progressText({ files, filesDone, bytes, bytesDone }: NonNullable<AnyStatus["hydration"]>): string {
  return `${filesDone} of ${files} files, ${sizeText(bytesDone)} of ${sizeText(bytes)}`;
}
