/**
 * fetch() for answers from gateways and mirrors that are not trusted: bounded in time and size, and well-formed before anybody
 * decodes them. It goes through node:http, and an answer is put together in place: Node's own fetch() makes four copies
 * more of each, and every one counts until the garbage is collected (a mount reads gigabytes this way).
 */
import type { IncomingMessage } from "node:http";
import { finished } from "node:stream/promises";
import { FormatError, messageOf } from "../../errors.ts";
import type { Urgency } from "../../urgency.ts";
import { NoAnswerError, NoWayError, PageError } from "../call-errors.ts";
import { CborReader, checkCbor } from "../certificate/cbor-reader.ts";
import { ANY_ITEM, checkCertificate } from "../certificate/certificate-form.ts";
import { MOST_OF_PAGE, reasonOf, titleOf } from "../network-problem.ts";
import { codeOf, isLastingCode } from "./connection-codes.ts";
import { type Way, wayTo } from "./connections.ts";
import { shownProxy } from "./proxy.ts";
import { proxyFails, wantsLogin } from "./proxy-problem.ts";

/** The IC's limit for a query's reply is 3 MiB; a certificate or a call's reply is far smaller. */
const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;
/** How many times the idle time-out all of an answer may take: a gateway must not hold a reader up with a trickle. */
const MAX_IDLE_TIMES = 6;
/** The same of one that is small, or a certificate's, which somebody waits for before anything else can be asked. */
const MAX_IDLE_TIMES_SMALL = 2;
/** Bytes a second. What an answer brings in each idle time-out must come to this, or it counts as silence. */
const SLOWEST = 1024;

/** Told of the answer's bytes, unverified, as they arrive. */
export type Received = (bytes: number) => void;

/** fetch(), but that it tells of what arrives, and may take its time. */
export type Fetch = (
  url: string | URL | Request,
  init?: RequestInit,
  received?: Received,
  urgency?: Urgency,
) => Promise<Response>;

export interface Bounds {
  /** Milliseconds without a byte after which the request has failed. */
  readonly idle: number;
  /** Until it rises all of the answer may take as long as it likes, if it goes on arriving. Default: it has risen. */
  readonly urgency?: Urgency | undefined;
  /** The same as `idle`, until then. Default: `idle`. */
  readonly leisure?: number;
  /** Bytes that the answer may have. */
  readonly most?: number | undefined;
}

/**
 * A slow link is not a silent one: with several answers on their way at once each takes longer, and giving up on those
 * that do arrive would only send them all again. So the time-out begins anew with everything that arrives, as long as that is
 * not a trickle.
 *
 * @param init its method, headers, body and signal; the body is bytes
 * @param received told of each piece of the answer, in bytes, as it arrives
 * @param form what an answer of status 200 is to be: "bytes" for what a hash proves
 * @throws NoAnswerError when there is none in time, only a part of one, or one that comes too slowly, NoWayError when there can be none; Error when it is
 *   too large, or no plain one; FormatError when one of status 200 is no CBOR; UsageError when the environment names a proxy that is none
 */
export async function boundedFetch(
  url: string | URL | Request,
  init: RequestInit | undefined,
  { idle, urgency, leisure = idle, most = MAX_RESPONSE_BYTES }: Bounds,
  received: Received = () => {},
  form: "cbor" | "bytes" = "cbor",
): Promise<Response> {
  const target = new URL(url instanceof Request ? url.url : url);
  const controller = new AbortController();
  const signal = init?.signal ? AbortSignal.any([init.signal, controller.signal]) : controller.signal;
  const way = wayTo(target, signal);
  const through = way.proxy === undefined ? "" : ` through the proxy ${shownProxy(way.proxy)}`;
  const expire = (why: string) => controller.abort(new NoAnswerError(why));
  const isSmall = most < MAX_RESPONSE_BYTES || target.pathname.endsWith("/read_state");
  const times = isSmall ? MAX_IDLE_TIMES_SMALL : MAX_IDLE_TIMES;
  const isLeisurely = urgency?.isUrgent === false;
  const ordinary = () => new Limits(idle, idle * times, through, expire);
  let limits = isLeisurely ? new Limits(leisure, undefined, through, expire) : ordinary();
  let hasBegun = false;
  const forget = urgency?.whenUrgent(() => {
    limits.end();
    limits = ordinary();
    if (hasBegun) limits.begins();
  });
  try {
    const incoming = await send(target, init, signal, way);
    if (way.proxy !== undefined && incoming.statusCode === 407) throw wantsLogin(way.proxy);
    refuseDetours(incoming);
    hasBegun = true;
    limits.begins();
    const body = new Body(Number(incoming.headers["content-length"] ?? 0), most);
    await taken(incoming, (part) => {
      limits.add(part.length);
      body.add(part);
      received(part.length);
    });
    const bytes = body.end();
    if (incoming.statusCode === 200 && form === "cbor") checkAnswer(bytes, target, through);
    return new Answer(bytes, incoming);
  } catch (error) {
    // The stream says only that it was aborted.
    signal.throwIfAborted();
    // Ends what is left of an answer that was refused.
    controller.abort();
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
    throw new NoAnswerError("the connection was closed before the end of the answer", { cause: error });
  } finally {
    forget?.();
    limits.end();
  }
}

/** Resolves when the answer begins. Connections are kept for the next request, as Node's agents do. */
function send(
  url: URL,
  init: RequestInit | undefined,
  signal: AbortSignal,
  way: Way,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const body = init?.body as Uint8Array | null | undefined;
  let hasAnswer = false;
  const request = way.request(
    url,
    {
      ...way.options,
      method: init?.method ?? "GET",
      headers: {
        ...Object.fromEntries(new Headers(init?.headers)),
        ...(body ? { "content-length": body.byteLength } : {}),
        ...way.headers,
      },
      signal,
    },
    (incoming) => {
      hasAnswer = true;
      resolve(incoming);
    },
  );
  request.on("error", (cause) => reject(withoutAnswer(cause, url, way)));
  // Also without an error, where the answer was another protocol: status 101.
  request.on("close", () => {
    if (!hasAnswer) reject(new NoAnswerError("the connection was closed without an answer"));
  });
  request.end(body ?? undefined);
  return promise;
}

/** Why a request has failed before its answer began. */
function withoutAnswer(cause: Error, { protocol }: URL, { proxy }: Way): NoAnswerError {
  // It has no tunnel.
  if (cause instanceof NoAnswerError) return cause;
  // The proxy's own connection.
  if (proxy !== undefined && protocol === "http:") return proxyFails(proxy, cause);
  const code = codeOf(cause) ?? "";
  const Kind = isLastingCode(code) ? NoWayError : NoAnswerError;
  if (proxy === undefined) return new Kind(messageOf(cause), { cause });
  const isOther = code === "EPROTO" || code.startsWith("ERR_SSL");
  return new Kind(`${reasonOf(cause)}, through the proxy ${shownProxy(proxy)}`, {
    cause,
    advice: isOther
      ? "what comes through the proxy is no TLS: ask who runs it what answers there"
      : undefined,
  });
}

/** @throws Error */
function refuseDetours({ statusCode, headers }: IncomingMessage): void {
  if (statusCode! < 200 || statusCode! > 599) {
    throw new Error(`the answer has the status ${statusCode}, which is none of HTTP's`);
  }
  // Gateways have no reason to send a request elsewhere.
  if (statusCode! >= 300 && statusCode! < 400) throw new Error(`it is sent elsewhere (status ${statusCode})`);
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    throw new Error(`the answer is packed (${encoding}), which was not asked for`);
  }
}

/** Resolves when `take` has had all of the answer. @throws what `take` throws, which ends the answer; Error with the system's code */
function taken(incoming: IncomingMessage, take: (part: Buffer) => void): Promise<void> {
  // Not `for await`: for each part it would wait for other things to be done first.
  incoming.on("data", (part: Buffer) => {
    try {
      take(part);
    } catch (error) {
      incoming.destroy(error as Error);
    }
  });
  return finished(incoming);
}

/** Ends a request that brings nothing for too long, or too little, or that takes too long as a whole. */
class Limits {
  readonly #idle: number;
  readonly #expire: (why: string) => void;
  readonly #silence: NodeJS.Timeout;
  readonly #longest: NodeJS.Timeout | undefined;
  #arrived = 0;
  #pace: NodeJS.Timeout | undefined;

  /**
   * @param idle milliseconds without a byte
   * @param whole milliseconds for the whole answer; undefined: any number
   * @param through which proxy, for people
   */
  constructor(idle: number, whole: number | undefined, through: string, expire: (why: string) => void) {
    this.#idle = idle;
    this.#expire = (why) => expire(`${why}${through}`);
    this.#silence = setTimeout(() => this.#expire(`no answer within ${idle / 1000} s`), idle);
    if (whole === undefined) return;
    this.#longest = setTimeout(() => this.#expire(`no whole answer within ${whole / 1000} s`), whole);
  }

  /** The answer begins: from now on it counts how much it brings. */
  begins(): void {
    this.#pace = setTimeout(() => {
      if (this.#arrived < (SLOWEST * this.#idle) / 1000) {
        const seconds = this.#idle / 1000;
        this.#expire(`no answer within ${seconds} s, but a trickle of ${this.#arrived} bytes`);
      }
      this.#arrived = 0;
      this.#pace?.refresh();
    }, this.#idle);
  }

  add(bytes: number): void {
    this.#silence.refresh();
    this.#arrived += bytes;
  }

  end(): void {
    clearTimeout(this.#silence);
    clearTimeout(this.#longest);
    clearTimeout(this.#pace);
    this.#pace = undefined;
  }
}

/** What arrives of an answer, in one piece. */
class Body {
  #buffer: Uint8Array<ArrayBuffer>;
  #length = 0;
  readonly #most: number;

  /**
   * @param expected bytes, as the gateway says: what it gets wrong costs a copy
   * @param most of them
   * @throws Error when that is too much
   */
  constructor(expected: number, most: number) {
    mustBeAtMost(expected, most);
    this.#most = most;
    this.#buffer = unfilled(expected);
  }

  /** @throws Error when it is too much */
  add(part: Uint8Array): void {
    const length = this.#length + part.length;
    mustBeAtMost(length, this.#most);
    if (length > this.#buffer.length) {
      const larger = unfilled(Math.min(Math.max(length, 2 * this.#buffer.length), this.#most));
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    this.#buffer.set(part, this.#length);
    this.#length = length;
  }

  end(): Uint8Array<ArrayBuffer> {
    return this.#length === this.#buffer.length ? this.#buffer : this.#buffer.slice(0, this.#length);
  }
}

/** @throws Error */
function mustBeAtMost(bytes: number, most: number): void {
  if (bytes > most) throw new Error(`an answer of over ${most} bytes is too large`);
}

/** As it was left by whoever had the memory before: only what has been written to is handed on. */
function unfilled(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);
}

/** What Node lets pass, and Response does not. */
const NOT_IN_STATUS_TEXT = /[^\t\x20-\x7e\x80-\xff]/g;

/** A response whose bytes are here already, and given without a copy; it has no stream. */
class Answer extends Response {
  override readonly arrayBuffer: () => Promise<ArrayBuffer>;
  override readonly text: () => Promise<string>;
  override readonly clone: () => Response;

  constructor(bytes: Uint8Array<ArrayBuffer>, incoming: IncomingMessage) {
    const headers = new Headers();
    for (const [name, values] of Object.entries(incoming.headersDistinct)) {
      for (const value of values ?? []) headers.append(name, value);
    }
    const statusText = incoming.statusMessage!.replace(NOT_IN_STATUS_TEXT, "?");
    super(null, { status: incoming.statusCode!, statusText, headers });
    this.arrayBuffer = async () => bytes.buffer;
    this.text = async () => new TextDecoder().decode(bytes);
    this.clone = () => new Answer(bytes, incoming);
  }
}

/** Parts of an answer without its certificate, which is a string in it: a query's has twenty, and seven for each node that signs. */
const MOST_PARTS = 1000;

/** A captive portal's page, for one, comes with status 200. @param through which proxy, for people @throws FormatError */
function checkAnswer(bytes: Uint8Array, { origin, pathname }: URL, through: string): void {
  const what = `what answers at ${origin}${through} is no IC network`;
  const page = titleOf(Buffer.from(bytes.subarray(0, MOST_OF_PAGE)).toString());
  if (page !== undefined) throw new PageError(`${what}: ${page}`);
  try {
    checkCbor(bytes, MOST_PARTS);
    if (/\/(read_state|call)$/.test(pathname)) checkCertificateIn(bytes);
  } catch (error) {
    throw new FormatError(`${what}: ${messageOf(error)}`);
  }
}

/** Answers with a certificate are a map with CBOR in CBOR, and the agent decodes both. @throws FormatError */
function checkCertificateIn(bytes: Uint8Array): void {
  const reader = new CborReader(bytes);
  reader.selfDescribed();
  for (let left = reader.map(); left > 0; left--) {
    if (reader.text() === "certificate") checkCertificate(reader.bytes(), ANY_ITEM);
    else reader.skip();
  }
}
