/** Which network to talk to, and the root key that everything it certifies is checked against. */
import { statSync } from "node:fs";
import { before } from "../deadline.ts";
import { FormatError, messageOf, UsageError, UserError } from "../errors.ts";
import { readNamedSync } from "../kept-file.ts";
import { HttpStatusError } from "./call-errors.ts";
import { CborReader } from "./certificate/cbor-reader.ts";
import { networkProblem } from "./network-problem.ts";
import { isLoopback } from "./transport/loopback.ts";

export interface Network {
  /** As the user gave it: `ic`, `local` or a URL; several with commas between them. */
  readonly name: string;
  /** URLs of its gateways, at least one, without slashes at their ends. All lead to the same network. */
  readonly gateways: readonly string[];
  /** The URLs of `gateways` in one text, with commas between them. */
  readonly url: string;
  /** Whether all gateways are on this machine, so that the root key may be fetched from them. */
  readonly loopback: boolean;
}

/** The IC's API boundary nodes. */
const IC_URL = "https://icp-api.io";
/** Where `icfs localnet` (and dfx) listens. */
export const LOCAL_PORT = 4943;

/** What a DER-encoded BLS12-381 public key begins with (IC interface specification, "Root of trust"); 96 bytes follow. */
const BLS_KEY_PREFIX = Buffer.from(
  "308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100",
  "hex",
);
const HEX = /^[\da-f]+$/i;
const ROOT_KEY_BYTES = BLS_KEY_PREFIX.length + 96;
/** Limit on a file that holds a root key. */
const MOST_KEY_FILE_BYTES = 64 * 1024;

/** Milliseconds without a byte after which a request for a network's status fails, unless the caller has another limit. */
const STATUS_TIMEOUT_MS = 5000;
/** Limit on a status, which is a few names and a key. */
const MOST_STATUS_BYTES = 64 * 1024;

/** No network answers at its URL. The message has advice; the cause, if it is known, has none. */
export class NetworkUnreachableError extends UserError {
  readonly url: string;

  constructor(message: string, url: string, cause?: Error) {
    super(message, { cause });
    this.url = url;
  }
}

/** A host and a port, such as 127.0.0.1:4943, [::1]:4943 or localhost:4943. */
const HOST_AND_PORT = /^(\[[\da-f:.]+\]|[a-z\d](?:[a-z\d.-]*[a-z\d])?):\d{1,5}\/?$/i;

/**
 * The network that --network names.
 *
 * @param given `ic`, `local`, HOST:PORT (https, except for a loopback host) or an http(s) URL; or several of these with commas between
 *   them, which are gateways of one network. A gateway that is named twice counts once.
 * @throws UsageError
 */
export function resolveNetwork(given: string): Network {
  const parts = given.split(",");
  if (parts.length > 1 && parts.some((part) => part.trim() === "")) {
    throw new UsageError(`the network "${given}" has an empty part: separate its gateways by single commas`);
  }
  const found = parts.map((part) => resolveGateway(part, given));
  const distinct = found.filter(({ url }, i) => found.findIndex((one) => one.url === url) === i);
  return {
    name: distinct.map(({ name }) => name).join(","),
    gateways: distinct.map(({ url }) => url),
    url: distinct.map(({ url }) => url).join(","),
    loopback: distinct.every(({ loopback }) => loopback),
  };
}

/** Whether one of the gateways was named `ic`: then the network is the IC, whose root key is built in. */
export function isMainNetwork({ name }: Pick<Network, "name">): boolean {
  return name.split(",").includes("ic");
}

/** @throws UsageError */
function resolveGateway(part: string, given: string): Pick<Network, "name" | "url" | "loopback"> {
  const name = part.trim();
  const word = name.toLowerCase();
  if (word === "ic") return { name: word, url: IC_URL, loopback: false };
  if (word === "local") return { name: word, url: `http://127.0.0.1:${LOCAL_PORT}`, loopback: true };
  const url = parseUrl(name);
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    const which = part === given ? "" : ` in "${given}"`;
    throw new UsageError(
      `unknown network "${part}"${which}: use ic, local, HOST:PORT, or a URL such as http://127.0.0.1:4943`,
    );
  }
  return { name, url: url.href.replace(/\/+$/, ""), loopback: isLoopback(url) };
}

function parseUrl(text: string): URL | undefined {
  if (!HOST_AND_PORT.test(text)) return URL.canParse(text) ? new URL(text) : undefined;
  if (!URL.canParse(`http://${text}`)) return undefined;
  const url = new URL(`http://${text}`);
  return isLoopback(url) ? url : new URL(`https://${text}`);
}

/**
 * The network's root key in DER: the given one, or else the IC's own, or else (on a loopback network) what its gateways report. It is never
 * silently fetched from anywhere else, because whoever supplies the root key can certify anything.
 *
 * @param given hexadecimal, or a file that holds it in hexadecimal or binary
 * @throws UserError
 */
export async function rootKeyOf(network: Network, given: string | undefined): Promise<Uint8Array> {
  if (given !== undefined) return parseRootKey(given);
  if (isMainNetwork(network)) {
    // Not loaded with this module, since many commands need only a network's name.
    const { IC_ROOT_KEY } = await import("@icp-sdk/core/agent");
    return fromHex(IC_ROOT_KEY);
  }
  if (!network.loopback) {
    throw new UsageError(
      `the root key of ${network.url} is not known: give it with --root-key HEX|FILE (it is fetched from loopback networks only)`,
    );
  }
  return fetchRootKey(network);
}

function parseRootKey(given: string): Uint8Array {
  if (isHexKey(given)) return checked(fromHex(given), "--root-key");
  let content: Buffer;
  try {
    content = readNamedSync(given, MOST_KEY_FILE_BYTES);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (HEX.test(given) && (code === "ENOENT" || code === "ENAMETOOLONG")) {
      throw new UsageError(
        `--root-key: a key has ${2 * ROOT_KEY_BYTES} digits in hexadecimal, and this has ${given.length}: give all of it, or the file that holds it`,
      );
    }
    // With a code, statSync() may throw the same: a key with a typing error can be too long for a name.
    throw new UserError(
      code === undefined && statSync(given, { throwIfNoEntry: false })?.isDirectory()
        ? `--root-key: ${given} is a directory: name the file in it that holds the key`
        : `--root-key: "${given}" is neither a key in hexadecimal nor a file: ${messageOf(error)}`,
    );
  }
  const text = content.toString("latin1").trim();
  return checked(isHexKey(text) ? fromHex(text) : Uint8Array.from(content), given);
}

function isHexKey(text: string): boolean {
  return HEX.test(text) && text.length === 2 * ROOT_KEY_BYTES;
}

function checked(key: Uint8Array, where: string): Uint8Array {
  if (key.length !== ROOT_KEY_BYTES || BLS_KEY_PREFIX.compare(key, 0, BLS_KEY_PREFIX.length) !== 0) {
    throw new UserError(
      `${where}: this is not a root key: expected ${ROOT_KEY_BYTES} bytes, a DER-encoded BLS12-381 public key`,
    );
  }
  return key;
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

/** What a network says about itself. Nothing of it is verified. */
export interface NetworkStatus {
  readonly rootKey: Uint8Array;
  /** What time it is there, to the second, by the Date of its answer. */
  readonly time: Date | undefined;
}

/**
 * Asks a network for its status.
 *
 * @param limit milliseconds without a byte
 * @param signal ends the question
 * @throws FormatError when what answers is not a network; HttpStatusError when it answers with an error; NoAnswerError, Error when there is
 *   no answer
 */
export async function networkStatus(
  url: string,
  limit = STATUS_TIMEOUT_MS,
  signal?: AbortSignal,
): Promise<NetworkStatus> {
  // Loaded only here: resolving a network's name sends no request.
  const { boundedFetch } = await import("./transport/bounded-fetch.ts");
  const init = signal && { signal };
  const response = await boundedFetch(`${url}/api/v2/status`, init, { idle: limit, most: MOST_STATUS_BYTES });
  if (!response.ok) throw new HttpStatusError(response.status, `HTTP status ${response.status}`);
  const time = new Date(response.headers.get("date") ?? Number.NaN);
  return {
    rootKey: decodeRootKey(new Uint8Array(await response.arrayBuffer())),
    time: Number.isNaN(time.getTime()) ? undefined : time,
  };
}

/** What each gateway has said, by its URL, or why it has not. Gateways that were too slow are missing. */
export type GatewayStatuses = ReadonlyMap<string, NetworkStatus | Error>;

/** Milliseconds that the other gateways get at least after the first has answered. */
const LEAST_FOR_OTHERS_MS = 250;

/**
 * Asks all gateways of a network for its status, at once. Those that take much longer than the first one are left out, unless the
 * caller wants to wait for all.
 *
 * @param limit milliseconds without a byte
 */
export async function gatewayStatuses(
  { gateways }: Pick<Network, "gateways">,
  wait: "first" | "all" = "first",
  limit?: number,
): Promise<GatewayStatuses> {
  const statuses = new Map<string, NetworkStatus | Error>();
  const started = performance.now();
  const first = Promise.withResolvers<void>();
  const over = new AbortController();
  const all = gateways.map(async (url) => {
    const status = await networkStatus(url, limit, over.signal).catch((error: Error) => error);
    if (!over.signal.aborted) statuses.set(url, status);
    if (!(status instanceof Error)) first.resolve();
  });
  const done = Promise.all(all);
  if (wait === "all") await done;
  await Promise.race([first.promise, done]);
  if (statuses.size < gateways.length) {
    const now = performance.now();
    const until = now + Math.max(LEAST_FOR_OTHERS_MS, 3 * (now - started));
    await before(until, done, "").catch(() => {});
  }
  // Neither the caller nor the end of the process waits for more.
  over.abort();
  return new Map(gateways.flatMap((url) => (statuses.has(url) ? [[url, statuses.get(url)!]] : [])));
}

/** @throws UserError */
async function fetchRootKey(network: Network): Promise<Uint8Array> {
  const statuses = await gatewayStatuses(network);
  const keys = new Map<string, Uint8Array>();
  for (const [url, status] of statuses) {
    if (!(status instanceof Error)) keys.set(url, checked(status.rootKey, `${url}/api/v2/status`));
  }
  const [[one, key] = [], ...more] = keys;
  if (one === undefined || key === undefined) throw noRootKey(statuses);
  for (const [other, otherKey] of more) {
    if (!Buffer.from(key).equals(otherKey)) {
      throw new UserError(
        `${one} and ${other} are gateways of different networks, with different root keys: name the gateways of one network only, or give its root key with --root-key`,
      );
    }
  }
  return key;
}

/** The message when no gateway of a loopback network has given a root key. */
function noRootKey(statuses: GatewayStatuses): UserError {
  const failed = [...statuses].map(([url, error]) => ({ url, error: error as Error }));
  const problems = failed.map(({ url, error }) => networkProblem({ url, loopback: true }, error));
  const text = `${problems.map(({ message }) => message).join("; ")}: ${problems[0]!.advice}`;
  return failed.some(({ error }) => error instanceof FormatError)
    ? new UserError(text)
    : new NetworkUnreachableError(text, failed.map(({ url }) => url).join(","), failed[0]!.error);
}

/** `root_key` in the status (IC interface specification, "Status endpoint"): a CBOR map of plain values, maybe tagged. */
function decodeRootKey(status: Uint8Array): Uint8Array {
  const reader = new CborReader(status);
  reader.selfDescribed();
  for (let left = reader.map(); left > 0; left--) {
    if (reader.text() === "root_key") return Uint8Array.from(reader.bytes());
    reader.skipScalar();
  }
  throw new FormatError("it has no root key");
}
