/**
 * icfs status CANISTER: what a canister holds, and what it still has to free. The canister reports this itself, and a node signs
 * it.
 */
import { type CyclesLeft, certifiedLeft, describeLeft, estimateLeft, FEW_DAYS } from "../cycles-left.ts";
import { FormatError } from "../errors.ts";
import { howToTopUp } from "../ic/agent-error.ts";
import { gatewayUrl } from "../ic/gateway/gateway-url.ts";
import { type CanisterStatus, servedHttp } from "../icfs-canister.ts";
import { jsonLine, oneLine } from "../log.ts";
import { cyclesText, limitText, sizeText } from "../units.ts";
import { reader } from "./calls.ts";
import type { NetworkOptions } from "./options.ts";

/** The output of --json. */
interface Result {
  readonly canister: string;
  /** The version of icfs that the canister reports; null before 0.2.0. */
  readonly version: string | null;
  /** The URL of its files over HTTP; null when it serves none. */
  readonly url: string | null;
  /** The release at that URL; 0 when there is none yet, or no URL. */
  readonly webRelease: number;
  /** The newest release's number; 0 before the first. */
  readonly release: number;
  readonly held: number;
  readonly kept: number;
  readonly chunks: number;
  /** Bytes of chunks, and the limit. */
  readonly bytes: number;
  readonly quota: number;
  readonly unpublishedChunks: number;
  /** Chunks that are still to be freed; null when the canister is too old to report it. */
  readonly backlog: number | null;
  readonly cycles: string;
  /** Days until it freezes, if nothing is published; null when the canister is too old to report it. */
  readonly daysLeft: number | null;
  /** Whether the days are computed from assumed prices: the network gives the real ones only to controllers. */
  readonly daysLeftEstimated: boolean;
}

/** Queries a canister, and prints its status. @throws UserError */
export async function printCanisterStatus(
  canisterId: string,
  options: NetworkOptions & { json?: boolean },
): Promise<void> {
  const { address, agent, canister, explained } = await reader(canisterId, options);
  const status = await explained(canister.status(), { what: "tell its status", by: "reader" });
  const certified =
    address.identity === undefined
      ? undefined
      : // Only controllers can read it.
        await certifiedLeft(agent, address.canister).catch(() => undefined);
  const left = certified ?? estimateLeft(status);
  const canisterText = address.canister.toText();
  const result = resultOf(canisterText, gatewayUrl(address.network, canisterText, ""), status, left);
  console.log(options.json ? jsonLine(result) : describe(result, webText(result, status), left));
  if (left !== undefined && left.days < FEW_DAYS) {
    const how = howToTopUp({ agent, canister: address.canister });
    console.error(`icfs: ${canisterText} freezes in ${left.days} days: top it up (${how})`);
  }
}

function resultOf(
  canister: string,
  url: string,
  status: CanisterStatus,
  left: CyclesLeft | undefined,
): Result {
  const [backlog] = status.backlog;
  const http = servedHttp(status);
  return {
    canister,
    version: status.version[0] ?? null,
    url: http === undefined ? null : url,
    webRelease: http === undefined ? 0 : exact(http.release),
    release: exact(status.newest),
    held: status.held.length,
    kept: status.kept.length,
    chunks: exact(status.chunks),
    bytes: exact(status.chunk_bytes),
    // Owners can set any number.
    quota: Number(status.settings.quota),
    unpublishedChunks: exact(status.loose_chunks),
    backlog: backlog === undefined ? null : exact(backlog),
    cycles: status.cycles.toString(),
    daysLeft: left?.days ?? null,
    daysLeftEstimated: left?.isEstimate ?? true,
  };
}

/** @throws FormatError when a canister cannot have that many */
function exact(count: bigint): number {
  if (count > BigInt(Number.MAX_SAFE_INTEGER))
    throw new FormatError(`the canister's status has a count of ${count}`);
  return Number(count);
}

/** Where the canister serves which release by HTTP, or why it does not. */
function webText({ canister, url, webRelease, release }: Result, status: CanisterStatus): string {
  const [http] = status.http;
  if (http === undefined) return `no: this canister is too old for that: upgrade it, icfs deploy ${canister}`;
  if (status.is_private) return "no: it is private";
  if (!http.on) return `no: an owner has switched it off (icfs configure ${canister} --http)`;
  if (webRelease === release) return `${url}`;
  return `${url}, with ${webRelease === 0 ? "nothing" : `release ${webRelease}`} until this one's pages are ready`;
}

/** @param web as text */
function describe(result: Result, web: string, left: CyclesLeft | undefined): string {
  const { canister, version, release, held, kept, chunks, bytes, quota, unpublishedChunks, backlog, cycles } =
    result;
  const waits = {
    null: "not told by a canister of this version",
    0: "nothing",
  }[String(backlog)];
  return [
    canister,
    `  program      icfs ${version === null ? "before 0.2.0" : oneLine(version)}`,
    `  on the web   ${web}`,
    `  release      ${release === 0 ? "none yet" : release}; ${held} held, ${kept} of them kept`,
    `  chunks       ${chunks}, ${sizeText(bytes)} of ${limitText(quota)}`,
    `  unpublished  ${unpublishedChunks} chunks`,
    `  to be freed  ${waits ?? `${backlog} chunks, about 10,000 at a time`}`,
    `  cycles       ${left === undefined ? cyclesText(BigInt(cycles)) : describeLeft(left)}`,
  ].join("\n");
}
