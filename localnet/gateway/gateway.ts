/**
 * An HTTP gateway (IC interface specification, "HTTP Gateway Protocol"): makes a query of a request for a canister, and hands on what
 * comes back when the canister has certified it. It does as the main network's gateways do (github.com/dfinity/http-gateway), also where
 * that checks less than one would wish: the pieces of a long file need not be of one file.
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

/** Calls for one answer at most, with the first. */
const MAX_PIECES = 1000;
/** How many parts of a streamed body are fetched before it is verified. What comes after them is not. */
const MAX_VERIFIED_PARTS = 4;
/** Requests at once; what one holds is a few pieces, of 3 MiB at most. */
const MAX_REQUESTS = 250;
/** A client that takes nothing for so long is cut off; a canister's message never takes as long. */
const STALLED_MS = 120_000;
/** They belong to a connection, and this one is not the canister's (RFC 9110, 7.6.1). */
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

/** What goes to the client. */
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
   * @param body the request's, once it is known that it is wanted
   */
  async serve(
    canister: Uint8Array,
    url: string,
    body: () => Promise<Uint8Array>,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
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
    // Consensus has answered an update call. Of a stream that goes on the gateway would have to hold all to verify it.
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

  /** A long file: its first piece, and the others, each asked for when the one before is on its way. */
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
      // Should nobody wait for it any more.
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

  /** @param count pieces before it. @returns what the piece has from there on */
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

  /** What is left of a streamed body, unverified, behind what is there. */
  async *#stream({ body, streaming }: CanisterAnswer): AsyncGenerator<Uint8Array> {
    yield body;
    for (let count = 1; streaming !== undefined; count++) {
      if (count >= MAX_PIECES) throw unusableAnswer(`A body comes in more than ${MAX_PIECES} parts`);
      const part = await nextPart(this.#network.call, streaming);
      yield part.body;
      streaming = part.rest;
    }
  }

  /** The body as fast as the weather lets it through. @throws GatewayError when it is longer or shorter than the client was told */
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
    // What has no body may say the length of another answer's.
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
      // A client learns it from the connection, which ends too early, unless it is the client that has gone.
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== "ERR_STREAM_PREMATURE_CLOSE" && code !== "ABORT_ERR")
        this.#network.log(`gateway: ${method} ${url}: ${message}`);
      response.destroy();
    }
  }
}

/** As canisters get them from gateways. @throws GatewayError 400 */
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

/** Canisters that have a file in one encoding only must know that it is welcome. */
function withIdentity(encodings: string): string {
  const list = encodings.split(",").map((encoding) => encoding.trim());
  return (list.some((encoding) => encoding.toLowerCase() === "identity") ? list : [...list, "identity"]).join(
    ", ",
  );
}

/**
 * The headers for the client: where some are certified, these only.
 *
 * @param verified undefined when nothing had to be
 * @throws GatewayError for a redirect that nobody has certified
 */
function headersFor(answer: CanisterAnswer, verified: Verification | undefined): Header[] {
  const bodyOnly = verified?.version === 1;
  if (bodyOnly && answer.status >= 300 && answer.status < 400)
    throw unusableAnswer("Response verification v1 does not allow redirects");
  const headers = (bodyOnly ? undefined : verified?.headers) ?? answer.headers;
  return headers.filter(([name, value]) => {
    const known = name.toLowerCase();
    // The gateway says itself how long the body is that it sends.
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
