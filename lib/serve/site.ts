/**
 * Answers HTTP requests on a host: below `/.icfs/` as a mirror does (docs/PROTOCOL.md, "Mirrors"), and everywhere else with the
 * files of the live release; also below /.icfs/at/N/, as the canister does, for clients that want a whole boot from one release.
 * Only content that is here and verified is served.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { CHANNEL, CHUNKS, HEADERS, MIRROR_DIRECTORY, RELEASE } from "../source/icfs/mirror-paths.ts";
import type { Release } from "../source/source.ts";
import { nameOf } from "../source/words.ts";
import { hexOf } from "../tree/hash.ts";
import type { Chunk, TreeFile, TreeNode } from "../tree/tree.ts";
import type { AccessLog } from "./access-log.ts";
import { type Content, sendContent } from "./content.ts";
import { fileBytes, PIECE_BYTES } from "./file-bytes.ts";
import { listingOf } from "./listing.ts";
import { mediaTypeOf } from "./media-type.ts";
import { Outgoing, type Turn } from "./outgoing.ts";
import type { ServedReleases, Whole } from "./releases.ts";

export interface SiteStatistics {
  /** Answers with a chunk, with a file or a range of one, and with the proof or headers of the release. */
  chunks: number;
  files: number;
  proofs: number;
  /** Bytes of chunks and files that were sent. */
  bytes: number;
  /** Requests for things that do not exist, or are not here. */
  missing: number;
  /** Answers that were cut short because a chunk had disappeared. */
  broken: number;
}

/** The status of a site: of its server, and of its answers. */
export interface SiteStatus extends SiteStatistics {
  readonly url: string;
  /** Open connections. */
  readonly connections: number;
  /** Answers that were ended to make room for others, because their clients did not read. */
  readonly cutOff: number;
}

export interface SiteOptions {
  /** Chunks, of up to 1 MiB, in memory for all answers together. */
  readonly chunksInHand: number;
  /** @throws Error when files must not be read because the proof is too old */
  readonly mustBeFresh: () => void;
  /** Called when a file begins to be read, and when it is no longer read. */
  readonly opened?: () => void;
  readonly closed?: () => void;
  /** Where sent files are logged, and the canister's name in the log. */
  readonly accessLog?: { readonly to: AccessLog; readonly canister: string } | undefined;
  readonly log: Log;
}

/** How long caches may keep answers that may change, as in the canister's own answers. */
const SHORT = "public, max-age=10";
const FOR_EVER = "public, max-age=31536000, immutable";
/** Seconds after which clients should ask again for what is not here yet. */
const RETRY_S = 10;
const SCRIPT = "boot.ipxe";
const TEXT = "text/plain; charset=utf-8";
const A_HASH = /^[0-9a-f]{64}$/;
const A_NUMBER = /^[1-9]\d{0,14}$/;

/** A chunk disappeared during the answer. */
class GoneError extends Error {}

export class Site {
  readonly statistics: SiteStatistics = { chunks: 0, files: 0, proofs: 0, bytes: 0, missing: 0, broken: 0 };
  readonly outgoing: Outgoing;
  readonly #releases: ServedReleases;
  readonly #options: SiteOptions;

  constructor(releases: ServedReleases, options: SiteOptions) {
    this.#releases = releases;
    this.#options = options;
    this.outgoing = new Outgoing(options.chunksInHand);
  }

  /** Answers any request. Never rejects. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Errors of clients that disconnect or do not speak HTTP.
    for (const stream of [request, response]) stream.on("error", () => {});
    try {
      await this.#route(request, response);
    } catch (error) {
      if (error instanceof GoneError) this.statistics.broken += 1;
      this.#options.log.warn(`an answer is broken off: ${messageOf(error)}`);
      response.destroy();
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method } = request;
    if (method !== "GET" && method !== "HEAD") {
      say(request, response, 405, "GET or HEAD", { allow: "GET, HEAD", connection: "close" });
      return;
    }
    const path = pathOf(request.url ?? "");
    if (path === undefined) return this.#missing(request, response, 400, "this is not a path");
    const [first, ...more] = path.split("/").filter((part) => part !== "");
    if (first === MIRROR_DIRECTORY) return this.#ofMirror(request, response, more);
    const { live } = this.#releases;
    if (live === undefined) return this.#notYet(request, response, "the release is being fetched");
    return this.#ofTree(request, response, path, live, SHORT);
  }

  async #ofMirror(request: IncomingMessage, response: ServerResponse, path: string[]): Promise<void> {
    const [what, which = ""] = path;
    if (what === RELEASE && path.length === 1) return this.#proof(request, response, undefined);
    if (what === CHANNEL && path.length === 2) return this.#proof(request, response, which);
    if (what === HEADERS && path.length === 2 && A_NUMBER.test(which)) {
      const page = this.#releases.headers(Number(which));
      if (page !== undefined) {
        this.statistics.proofs += 1;
        sendSmall(request, response, page, { "content-type": "application/cbor", "cache-control": SHORT });
        return;
      }
    }
    if (what === CHUNKS && path.length === 2 && A_HASH.test(which)) {
      return this.#chunk(request, response, which);
    }
    const { live } = this.#releases;
    const number = live?.release.number;
    if (live !== undefined && number !== undefined) {
      if (what === "at" && which === String(number)) {
        const end = pathOf(request.url!)!.endsWith("/") ? "/" : "";
        return this.#ofTree(request, response, `${path.slice(2).join("/")}${end}`, live, FOR_EVER);
      }
      if (what === SCRIPT && path.length === 1 && live.tree.find(SCRIPT)?.entry.kind === "file") {
        // The same script as the canister's: everything that it names comes from this release, or is missing.
        const script = Buffer.from(`#!ipxe\nchain /${MIRROR_DIRECTORY}/at/${number}/${SCRIPT}\n`);
        sendSmall(request, response, script, { "content-type": TEXT, "cache-control": SHORT });
        return;
      }
    }
    this.#missing(request, response, 404, "this is not here");
  }

  /** @param channel requested along with its record; undefined: only the newest release */
  async #proof(
    request: IncomingMessage,
    response: ServerResponse,
    channel: string | undefined,
  ): Promise<void> {
    await this.#releases.untilProved(response);
    const { proof } = this.#releases;
    if (proof === undefined) {
      this.#notYet(request, response, "the release is being fetched");
      return;
    }
    if (proof.channel !== channel) {
      const served = proof.channel === undefined ? "the newest release" : `channel ${proof.channel}`;
      return this.#missing(request, response, 404, `this host serves ${served}`);
    }
    this.statistics.proofs += 1;
    sendSmall(request, response, proof.bytes, {
      "content-type": "application/cbor",
      "cache-control": SHORT,
      // The subnet's certification time: it stays the same until the network names a newer release.
      "last-modified": proof.certifiedAt.toUTCString(),
    });
  }

  async #chunk(request: IncomingMessage, response: ServerResponse, hash: string): Promise<void> {
    const sha256 = Buffer.from(hash, "hex");
    // Before taking a turn, so that a waiting request holds no chunk.
    const isComing = await this.#releases.untilHere(sha256, response);
    const turn = this.#turnFor(response);
    await turn.take();
    // If the client left before turnFor(), no event ends the turn.
    if (response.destroyed) return turn.end();
    const found = await this.#releases.chunk(sha256);
    if (found === undefined && isComing) {
      return this.#missing(request, response, 404, "this chunk is on its way", { "retry-after": "1" });
    }
    if (found === undefined) return this.#missing(request, response, 404, "this chunk is not here");
    this.statistics.chunks += 1;
    const content: Content = {
      size: found.length,
      headers: { etag: `"${hash}"`, "cache-control": FOR_EVER, "content-type": "application/octet-stream" },
      async *bytes(start, end) {
        for (let at = start; at < end; at += PIECE_BYTES) {
          yield found.subarray(at, Math.min(end, at + PIECE_BYTES));
        }
      },
    };
    const sent = await sendContent(request, response, content, turn);
    this.statistics.bytes += sent;
  }

  async #ofTree(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    live: Whole,
    cacheControl: string,
  ): Promise<void> {
    let node = live.tree.find(path);
    const isDirectorys = path === "" || path.endsWith("/");
    if (node?.entry.kind === "directory") {
      if (!isDirectorys) {
        // The path as requested, which may lie below /.icfs/at/.
        const asked = pathOf(request.url!)!;
        const location = `/${asked.split("/").filter(Boolean).map(encodeURIComponent).join("/")}/`;
        return void say(request, response, 301, `this is ${location}`, { location, "cache-control": SHORT });
      }
      const index = live.tree.find(`${path}/index.html`);
      if (index?.entry.kind !== "file") return this.#listing(request, response, path, node);
      node = index;
    }
    if (node?.entry.kind !== "file") {
      return this.#missing(request, response, 404, `${nameOf(live.release)} has no such file`);
    }
    return this.#file(request, response, { file: node.entry, index: node.index, cacheControl }, live);
  }

  #listing(request: IncomingMessage, response: ServerResponse, path: string, node: TreeNode): void {
    const page = listingOf(path.split("/").filter(Boolean).join("/"), node);
    sendSmall(request, response, Buffer.from(page), {
      "content-type": "text/html; charset=utf-8",
      "cache-control": SHORT,
      "content-security-policy": "default-src 'none'",
      "x-content-type-options": "nosniff",
    });
  }

  async #file(
    request: IncomingMessage,
    response: ServerResponse,
    { file, index, cacheControl }: { file: TreeFile; index: number; cacheControl: string },
    { release, tree }: Whole,
  ): Promise<void> {
    try {
      this.#options.mustBeFresh();
    } catch (error) {
      return this.#notYet(request, response, messageOf(error));
    }
    if (!(await this.#releases.isHere(file, tree))) {
      return this.#notYet(request, response, "not all of this file is here yet");
    }
    const { log, opened, closed } = this.#options;
    // A file's own hash is only the publisher's claim until the whole file has been read.
    const etag =
      file.checked && file.sha256 !== undefined
        ? `"${hexOf(file.sha256)}"`
        : `"${release.hash.toString("hex")}-${index}"`;
    const turn = this.#turnFor(response);
    const read = async (chunk: Chunk) => {
      await turn.take();
      const bytes = await this.#releases.read(chunk);
      if (bytes === undefined) throw new GoneError(`a chunk of ${file.path} is not here any more`);
      return bytes;
    };
    const content: Content = {
      size: file.size,
      headers: { etag, "cache-control": cacheControl, "content-type": mediaTypeOf(file.path) },
      bytes: (start, end) => fileBytes(file, tree, start, end, read),
    };
    this.statistics.files += 1;
    opened?.();
    const tell = this.#tellOf(request, response, file, release);
    try {
      const sent = await sendContent(request, response, content, turn);
      tell?.(sent);
      this.statistics.bytes += sent;
      log.debug(`${request.socket.remoteAddress} has read ${file.path} of ${nameOf(release)}`);
    } finally {
      closed?.();
    }
  }

  /**
   * Returns a function that logs the answer. Call it with the number of bytes passed on; it waits until the connection has taken
   * them or is gone.
   */
  #tellOf(
    { socket, method, url }: IncomingMessage,
    response: ServerResponse,
    { size, sha256 }: TreeFile,
    release: Release,
  ): ((handedOn: number) => void) | undefined {
    const { accessLog } = this.#options;
    if (accessLog === undefined || method !== "GET") return undefined;
    // In IPv4 form, where a socket accepts both. A closed socket has no address any more.
    if (socket.remoteAddress === undefined) return undefined;
    const address = socket.remoteAddress.replace(/^::ffff:/, "");
    const { to, canister } = accessLog;
    const write = (sent: number) =>
      to.add({
        ...{ time: Date.now(), address, method, status: response.statusCode, sent, length: size },
        sha256: sha256 && hexOf(sha256),
        ...{ canister, release: release.number, header: hexOf(release.hash), uri: url! },
      });
    return (handedOn) => {
      if (response.writableFinished) return write(handedOn);
      // If the answer was cut short, the exact number of bytes sent is unknown, but it is not all.
      const cut = Math.min(handedOn, Math.max(size - 1, 0));
      if (response.destroyed) return write(cut);
      response.once("close", () => write(response.writableFinished ? handedOn : cut));
    };
  }

  /** A turn that ends with the answer. */
  #turnFor(response: ServerResponse): Turn {
    const turn = this.outgoing.turnFor({ cutOff: () => response.destroy() });
    response.once("close", () => turn.end());
    // Without a listener, Node closes a connection after a period without traffic. While this answer waits its turn, that is not
    // the client's fault.
    response.on("timeout", () => {
      if (!turn.isWaiting) response.destroy();
    });
    return turn;
  }

  #missing(...said: Parameters<typeof say>): void {
    this.statistics.missing += 1;
    say(...said);
  }

  #notYet(request: IncomingMessage, response: ServerResponse, why: string): void {
    this.#missing(request, response, 503, why, { "retry-after": String(RETRY_S) });
  }
}

/** The decoded path of a request, without query and fragment; undefined when it is malformed. */
function pathOf(url: string): string | undefined {
  // A client that uses this host as a proxy sends the whole URL.
  const [path] = url.replace(/^https?:\/\/[^/?#]*/i, "").split(/[?#]/, 1);
  try {
    return decodeURIComponent(path!).replace(/^\/+/, "");
  } catch {
    return undefined;
  }
}

function sendSmall(
  { method }: IncomingMessage,
  response: ServerResponse,
  bytes: Uint8Array,
  headers: Readonly<Record<string, string>>,
): void {
  response.writeHead(200, { ...headers, "content-length": bytes.length });
  response.end(method === "HEAD" ? undefined : bytes);
}

function say(
  { method }: IncomingMessage,
  response: ServerResponse,
  status: number,
  why: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = Buffer.from(`${why}\n`);
  response.writeHead(status, {
    "content-type": TEXT,
    "content-length": body.length,
    "cache-control": "no-store",
    ...headers,
  });
  response.end(method === "HEAD" ? undefined : body);
}
