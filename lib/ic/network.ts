/** Which network to talk to, and the root key that everything it certifies is checked against. */
import { statSync } from "node:fs";
import { FormatError, messageOf, UsageError, UserError } from "../errors.ts";
import { readNamedSync } from "../kept-file.ts";
import { boundedFetch } from "./bounded-fetch.ts";
import { HttpStatusError } from "./call-errors.ts";
import { CborReader } from "./cbor-reader.ts";
import { isLoopback } from "./loopback.ts";
import { networkProblem } from "./network-problem.ts";

export interface Network {
  /** As the user gave it: `ic`, `local` or a URL. */
  readonly name: string;
  /** Without a slash at its end. */
  readonly url: string;
  /** On this machine only, so that its root key may be fetched from it. */
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
/** Of a file with one, in hexadecimal perhaps. */
const MOST_KEY_FILE_BYTES = 64 * 1024;

/** How long to wait for a local network's status: it answers at once or is not there. */
const STATUS_TIMEOUT_MS = 5000;
/** A status is a few names and a key. */
const MOST_STATUS_BYTES = 64 * 1024;

/** No network answers at its URL. */
export class NetworkUnreachableError extends UserError {
  readonly url: string;

  constructor(message: string, url: string) {
    super(message);
    this.url = url;
  }
}

/** A host and a port, such as 127.0.0.1:4943, [::1]:4943 or localhost:4943. */
const HOST_AND_PORT = /^(\[[\da-f:.]+\]|[a-z\d](?:[a-z\d.-]*[a-z\d])?):\d{1,5}\/?$/i;

/** @param given `ic`, `local`, HOST:PORT (https, but for a loopback host) or an http(s) URL. @throws UsageError */
export function resolveNetwork(given: string): Network {
  const name = given.trim();
  const word = name.toLowerCase();
  if (word === "ic") return { name: word, url: IC_URL, loopback: false };
  if (word === "local") return { name: word, url: `http://127.0.0.1:${LOCAL_PORT}`, loopback: true };
  const url = parseUrl(name);
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(
      `unknown network "${given}": use ic, local, HOST:PORT, or a URL such as http://127.0.0.1:4943`,
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
 * The network's root key in DER. It is the IC's own, or the one given, or (on a loopback network) asked for: never
 * silently fetched from anywhere else, because whoever hands out the root key can certify anything.
 *
 * @param given hexadecimal, or a file that holds it in hexadecimal or binary
 * @throws UserError
 */
export async function rootKeyOf(network: Network, given: string | undefined): Promise<Uint8Array> {
  if (given !== undefined) return parseRootKey(given);
  if (network.name === "ic") {
    // Not loaded with this module, which programs need that only look at a network's name.
    const { IC_ROOT_KEY } = await import("@icp-sdk/core/agent");
    return fromHex(IC_ROOT_KEY);
  }
  if (!network.loopback) {
    throw new UsageError(
      `the root key of ${network.url} is not known: give it with --root-key HEX|FILE (it is fetched from loopback networks only)`,
    );
  }
  return fetchRootKey(network.url);
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
    throw new UserError(
      statSync(given, { throwIfNoEntry: false })?.isDirectory()
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
      `${where}: this is no root key: expected ${ROOT_KEY_BYTES} bytes, a DER-encoded BLS12-381 public key`,
    );
  }
  return key;
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

/** What a network says of itself. Nothing about it is verified. */
export interface NetworkStatus {
  readonly rootKey: Uint8Array;
  /** What time it is there, to the second, by the Date of its answer. */
  readonly time: Date | undefined;
}

/** Asks a network for its status. @param limit milliseconds without a byte. @throws FormatError when what answers is no network; Error when nothing does */
export async function networkStatus(url: string, limit = STATUS_TIMEOUT_MS): Promise<NetworkStatus> {
  const response = await boundedFetch(`${url}/api/v2/status`, undefined, limit, undefined, MOST_STATUS_BYTES);
  if (!response.ok) throw new HttpStatusError(response.status, `HTTP status ${response.status}`);
  const time = new Date(response.headers.get("date") ?? Number.NaN);
  return {
    rootKey: decodeRootKey(new Uint8Array(await response.arrayBuffer())),
    time: Number.isNaN(time.getTime()) ? undefined : time,
  };
}

async function fetchRootKey(url: string): Promise<Uint8Array> {
  try {
    return checked((await networkStatus(url)).rootKey, `${url}/api/v2/status`);
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { message, advice } = networkProblem({ url, loopback: true }, error);
    const text = `${message}: ${advice}`;
    throw error instanceof FormatError ? new UserError(text) : new NetworkUnreachableError(text, url);
  }
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
