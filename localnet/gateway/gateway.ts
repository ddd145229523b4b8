/**
 * An HTTP gateway (IC interface specification, "HTTP Gateway Protocol"): turns a request for a canister into a query, and passes the answer
 * on when the canister has certified it. It behaves as the main network's gateways do (github.com/dfinity/http-gateway), even where they check
 * too little: the pieces of a long answer may come from different files.
 */
import {
  type IncomingMessage,
  type ServerResponse,
  validateHeaderName,
  validateHeaderValue,
} from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Weather } from "../weather.ts";
import { pieceOf } from "./content-range.ts";
import { GatewayError, unusableAnswer } from "./gateway-error.ts";
import {
  type Call,
  type CanisterAnswer,
  type CanisterRequest,
  type Header,
  nextPart,
  queryHttp,
  updateHttp,
} from "./http-canister.ts";
import { type Verification, verify } from "./verification.ts";

/** The most calls for one answer, the first included. */
const MAX_PIECES = 1000;
/** Parts of a streamed body that are fetched and verified with it. Later parts are not verified. */
const MAX_VERIFIED_PARTS = 4;
/** The most requests at once; each holds a few pieces of at most 3 MiB. */
const MAX_REQUESTS = 250;
/**
 * The most segments of a URL's path. Verifying that none of them leads anywhere takes at least quadratic time, two seconds for this many,
 * and blocks the whole network meanwhile. A file's path of 4,096 bytes has 2,048.
 */
const MAX_SEGMENTS = 2100;
/** Milliseconds after which a client that reads nothing is cut off; no canister's message takes as long. */
const STALLED_MS = 120_000;
/** Headers that belong to a connection, so that the canister's must not reach the client (RFC 9110, 7.6.1). */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** The network behind the gateway. */
export interface GatewayNetwork {
  readonly call: Call;
  /** DER. */
  readonly rootKey: Uint8Array;
  /** Nanoseconds since 1970. */
  now(): bigint;
  log(line: string): void;
}

/** The answer for the client. */
interface Answer {
  readonly status: number;
  readonly headers: Header[];
  /** Bytes of the body; undefined: not known before its end. */
  readonly length: number | undefined;
  /** The body in parts; nothing is fetched before it is asked for. */
  body(): AsyncIterable<Uint8Array>;
}

export class Gateway {
  readonly #network: GatewayNetwork;
  readonly #weather: Weather;
  #requests = 0;

  constructor(network: GatewayNetwork, weather: Weather) {
    this.#network = network;
    this.#weather = weather;
  }

  /**
   * Answers a request for a canister.
   *
   * @param url path and query
   * @param body reads the request's body, and is called only when the request is served
   */
  async serve(
    canister: Uint8Array,
    url: string,
    body: () => Promise<Uint8Array>,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    // Paths are decoded before they are cut.
    if (url.split(/\/|%2f/i, MAX_SEGMENTS + 2).length > MAX_SEGMENTS + 1)
      throw new GatewayError(414, "URI Too Long", `A path has at most ${MAX_SEGMENTS} segments here.`);
    if (this.#requests >= MAX_REQUESTS)
      throw new GatewayError(503, "Too Many Requests At Once", "Try again.");
    this.#requests++;
    try {
      response.setTimeout(STALLED_MS, () => response.destroy());
      const asked = { method: request.method!, url, headers: headersOf(request), body: await body() };
      const answer = await this.#answer(canister, asked);
      await this.#weather.oneWay();
      await this.#send(asked, answer, response);
    } finally {
      this.#requests--;
    }
  }

  async #answer(canister: Uint8Array, request: CanisterRequest): Promise<Answer> {
    const { call } = this.#network;
    let answer = await queryHttp(call, canister, request);
    const upgraded = answer.upgrade;
    if (upgraded) answer = await updateHttp(call, canister, request);
    let { streaming } = answer;
    if (streaming !== undefined) {
      const parts = [answer.body];
      for (let count = 0; streaming !== undefined && count < MAX_VERIFIED_PARTS; count++) {
        const part = await nextPart(call, streaming);
        parts.push(part.body);
        streaming = part.rest;
      }
      answer = { ...answer, body: Buffer.concat(parts), streaming };
    }
    // An update call was answered through consensus. To verify a longer stream, the gateway would have to hold all of it.
    const verified =
      upgraded || streaming !== undefined ? undefined : await this.#verify(canister, request, answer);
    const { status } = answer;
    const ranged = request.headers.some(([name]) => name === "range" || name === "if-range");
    const isPiece = status === 206 && !ranged;
    const headers = headersFor(answer, verified).filter(
      ([name]) => !(isPiece && /^content-range$/i.test(name)),
    );
    if (isPiece) {
      if (streaming !== undefined) throw unusableAnswer("A piece with a streaming strategy");
      const { begin, end, total } = pieceOf(answer, 0);
      return {
        status: 200,
        headers,
        length: total,
        body: () => this.#pieces(canister, request, answer.body, end + 1 - begin, total),
      };
    }
    if (streaming !== undefined)
      return { status, headers, length: undefined, body: () => this.#stream(answer) };
    const whole = answer.body;
    return { status, headers, length: whole.length, body: () => Readable.from([whole]) };
  }

  #verify(canister: Uint8Array, request: CanisterRequest, answer: CanisterAnswer): Promise<Verification> {
    const { rootKey } = this.#network;
    return verify(request, answer, canister, this.#network.now(), rootKey);
  }

  /** The pieces of a long file. Each is requested while the previous one is being sent. */
  async *#pieces(
    canister: Uint8Array,
    request: CanisterRequest,
    first: Uint8Array,
    length: number,
    total: number,
  ): AsyncGenerator<Uint8Array> {
    let next: Promise<Uint8Array> | undefined;
    const ask = (from: number, count: number) => {
      next = from < total ? this.#piece(canister, request, from, count) : undefined;
      // The client may have gone: then nobody awaits this promise.
      next?.catch(() => {});
    };
    ask(length, 1);
    yield first;
    for (let have = length, count = 1; next !== undefined; count++) {
      const piece: Uint8Array = await next;
      have += piece.length;
      ask(have, count + 1);
      yield piece;
    }
  }

  /** @param from the first byte that is missing @param count the number of earlier pieces @returns the piece from that byte on */
  async #piece(
    canister: Uint8Array,
    request: CanisterRequest,
    from: number,
    count: number,
  ): Promise<Uint8Array> {
    if (count >= MAX_PIECES) throw unusableAnswer(`${request.url} comes in more than ${MAX_PIECES} pieces`);
    const ranged: CanisterRequest = {
      ...request,
      headers: [...request.headers, ["range", `bytes=${from}-`]],
    };
    const answer = await queryHttp(this.#network.call, canister, ranged);
    if (answer.streaming !== undefined) throw unusableAnswer("A piece with a streaming strategy");
    const { begin } = pieceOf(answer, from);
    await this.#verify(canister, ranged, answer);
    return answer.body.subarray(from - begin);
  }

  /** A streamed body: the parts that are here already, and the rest, which is not verified. */
  async *#stream({ body, streaming }: CanisterAnswer): AsyncGenerator<Uint8Array> {
    yield body;
    for (let count = 1; streaming !== undefined; count++) {
      if (count >= MAX_PIECES) throw unusableAnswer(`A body comes in more than ${MAX_PIECES} parts`);
      const part = await nextPart(this.#network.call, streaming);
      yield part.body;
      streaming = part.rest;
    }
  }

  /**
   * The body, as fast as the simulated line allows.
   *
   * @throws GatewayError when its length differs from what the client was told
   */
  async *#parts({ length, body }: Answer): AsyncGenerator<Uint8Array> {
    let sent = 0;
    for await (const part of body()) {
      sent += part.length;
      if (length !== undefined && sent > length) break;
      yield* this.#weather.download(part);
    }
    if (length !== undefined && sent !== length)
      throw unusableAnswer(`The pieces do not make up the ${length} bytes that were announced`);
  }

  async #send({ method, url }: CanisterRequest, answer: Answer, response: ServerResponse): Promise<void> {
    const { status, length } = answer;
    // An answer without a body may state the length that a body would have had.
    const bodiless = method === "HEAD" || status === 204 || status === 304;
    const headers = [...answer.headers];
    if (length !== undefined && status !== 204 && status !== 304)
      headers.push(["content-length", String(length)]);
    response.writeHead(status, headers.flat());
    if (bodiless) {
      response.end();
      return;
    }
    try {
      await pipeline(Readable.from(this.#parts(answer), { highWaterMark: 1 }), response);
    } catch (error) {
      // The client learns of the error when the connection ends too early. When the client has gone, there is no error to log.
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== "ERR_STREAM_PREMATURE_CLOSE" && code !== "ABORT_ERR")
        this.#network.log(`gateway: ${method} ${url}: ${message}`);
      response.destroy();
    }
  }
}

/** The request's headers in the form in which gateways pass them to canisters. @throws GatewayError 400 */
function headersOf({ rawHeaders }: IncomingMessage): Header[] {
  const headers: Header[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const [name, value] = [rawHeaders[i]!.toLowerCase(), rawHeaders[i + 1]!];
    if (!/^[\t -~]*$/.test(value))
      throw new GatewayError(400, "Malformed Request", `The header ${name} is not ASCII`);
    if (name === "accept-encoding") headers.push([name, withIdentity(value)]);
    else headers.push([name, value]);
  }
  return headers;
}

/** Adds `identity`: a canister that has a file only unencoded must see that the client accepts that. */
function withIdentity(encodings: string): string {
  const list = encodings.split(",").map((encoding) => encoding.trim());
  return (list.some((encoding) => encoding.toLowerCase() === "identity") ? list : [...list, "identity"]).join(
    ", ",
  );
}

/**
 * The headers for the client: if some are certified, only those.
 *
 * @param verified undefined when nothing had to be verified
 * @throws GatewayError for a redirect whose headers are not certified
 */
function headersFor(answer: CanisterAnswer, verified: Verification | undefined): Header[] {
  const bodyOnly = verified?.version === 1;
  if (bodyOnly && answer.status >= 300 && answer.status < 400)
    throw unusableAnswer("Response verification v1 does not allow redirects");
  const headers = (bodyOnly ? undefined : verified?.headers) ?? answer.headers;
  return headers.filter(([name, value]) => {
    const known = name.toLowerCase();
    // The gateway sets the length of the body that it sends.
    if (HOP_BY_HOP.has(known) || known === "content-length") return false;
    if (bodyOnly && known === "cache-control") return false;
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      throw unusableAnswer(`The canister's header ${JSON.stringify(name)} makes no sense`);
    }
    return true;
  });
}
