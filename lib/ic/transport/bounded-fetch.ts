/**
 * fetch() for answers from gateways and mirrors that are not trusted: bounded in time and size, and well-formed before anybody
 * decodes them. It goes through node:http, and puts an answer together in place: Node's own fetch() makes four more copies of each, and
 * they take memory until the garbage is collected (a mount reads gigabytes this way).
 */
import { createHash } from "node:crypto";
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
/** How many idle time-outs a whole answer may take: a gateway must not hold a reader up with a trickle. */
const MAX_IDLE_TIMES = 6;
/** The same for a small answer, or a certificate, which is needed before anything else can be asked. */
const MAX_IDLE_TIMES_SMALL = 2;
/** Bytes that are taken at a time of an answer that can wait: half a millisecond's work. */
const TURN_BYTES = 256 * 1024;
/** Bytes a second. In each idle time-out, an answer must bring this much, or it counts as silent. */
const SLOWEST = 1024;

/** Told of the answer's bytes, unverified, as they arrive. */
export type Received = (bytes: number) => void;

/** The part of fetch()'s Response that icfs and @icp-sdk/core use. (Making a Response would load Node's own fetch().) */
export interface Answer {
  readonly ok: boolean;
  readonly status: number;
  readonly statusText: string;
  readonly headers: AnswerHeaders;
  /** Always empty: there are no redirects. */
  readonly url: string;
  arrayBuffer(): Promise<ArrayBuffer>;
  text(): Promise<string>;
  clone(): Answer;
  /** SHA-256 of the bytes, if they were requested as "bytes". */
  readonly sha256?: Buffer | undefined;
}

/** Headers by their names, in lower case. */
export interface AnswerHeaders extends Iterable<[string, string]> {
  get(name: string): string | null | undefined;
  forEach(take: (value: string, name: string) => void): void;
}

/** The part of fetch()'s options that is used. Headers are an object's properties, and the body is bytes. */
export interface AnswerRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | null;
  readonly signal?: AbortSignal | null;
}

/** fetch() that reports what arrives, and may take its time. */
export type Fetch = (
  url: string | URL,
  init?: AnswerRequest,
  received?: Received,
  urgency?: Urgency,
) => Promise<Answer>;

export interface Bounds {
  /** Milliseconds without a byte after which the request has failed. */
  readonly idle: number;
  /** Until it rises, the whole answer may take any time, provided that parts keep arriving. Default: it has risen. */
  readonly urgency?: Urgency | undefined;
  /** Used in place of `idle` until `urgency` rises. Default: `idle`. */
  readonly leisure?: number;
  /** Bytes that the answer may have. Default: MAX_RESPONSE_BYTES. */
  readonly most?: number | undefined;
  /** Called after every TURN_BYTES: returns what to wait for before the rest of the answer is read. Default: nothing. */
  readonly others?: Urgency["others"] | undefined;
}

/**
 * Sends a request, and resolves with the whole answer.
 *
 * A slow link is not a silent one: with several answers on their way at once each takes longer, and giving up on those
 * that do arrive would only send them all again. So the time-out restarts with everything that arrives, unless that is only
 * a trickle.
 *
 * @param received told of each piece of the answer, in bytes, as it arrives
 * @param form the form of an answer of status 200: "bytes" for data that a hash proves
 * @throws NoAnswerError when no answer comes in time, or only a part of one, or too slowly; NoWayError when none can come; Error when it is
 *   too large, compressed or a redirect; FormatError when one of status 200 should be CBOR and is not; UsageError when the environment
 *   names something as a proxy that is not one
 */
export async function boundedFetch(
  url: string | URL,
  init: AnswerRequest | undefined,
  { idle, urgency, leisure = idle, most = MAX_RESPONSE_BYTES, others = () => undefined }: Bounds,
  received: Received = () => {},
  form: "cbor" | "bytes" = "cbor",
): Promise<Answer> {
  const target = new URL(url);
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
    // Each piece is hashed as it arrives. Hashing everything at the end would block others, or delay this reader.
    const hash = form === "bytes" ? createHash("sha256") : undefined;
    const take = (part: Buffer) => {
      limits.add(part.length);
      body.add(part);
      hash?.update(part);
      received(part.length);
    };
    await taken(incoming, take, others);
    const bytes = body.end();
    if (incoming.statusCode === 200 && form === "cbor") checkAnswer(bytes, target, through);
    return answer(bytes, incoming, hash?.digest());
  } catch (error) {
    // The stream says only that it was aborted.
    signal.throwIfAborted();
    // Ends the rest of an answer that was refused.
    controller.abort();
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
    throw new NoAnswerError("the connection was closed before the end of the answer", { cause: error });
  } finally {
    forget?.();
    limits.end();
  }
}

/** Sends a request, and resolves when the answer begins. Node's agents keep the connection for the next request. */
function send(
  url: URL,
  init: AnswerRequest | undefined,
  signal: AbortSignal,
  way: Way,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const body = init?.body;
  let hasAnswer = false;
  const request = way.request(
    url,
    {
      ...way.options,
      method: init?.method ?? "GET",
      headers: {
        ...init?.headers,
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
  // There is no error if the answer switches protocols (status 101).
  request.on("close", () => {
    if (!hasAnswer) reject(new NoAnswerError("the connection was closed without an answer"));
  });
  request.end(body ?? undefined);
  return promise;
}

/** Why a request has failed before its answer began. */
function withoutAnswer(cause: Error, { protocol }: URL, { proxy }: Way): NoAnswerError {
  // There is no tunnel, for a reason that tunnel.ts has put into words.
  if (cause instanceof NoAnswerError) return cause;
  // A plain request is sent to the proxy itself, so this is the connection to it.
  if (proxy !== undefined && protocol === "http:") return proxyFails(proxy, cause);
  const code = codeOf(cause) ?? "";
  const Kind = isLastingCode(code) ? NoWayError : NoAnswerError;
  if (proxy === undefined) return new Kind(messageOf(cause), { cause });
  const isOther = code === "EPROTO" || code.startsWith("ERR_SSL");
  return new Kind(`${reasonOf(cause)}, through the proxy ${shownProxy(proxy)}`, {
    cause,
    advice: isOther
      ? "what comes through the proxy is not TLS: ask whoever runs it what answers there"
      : undefined,
  });
}

/** Refuses an answer that is not plain: one with an impossible status, a redirect, or a compressed one. @throws Error */
function refuseDetours({ statusCode, headers }: IncomingMessage): void {
  if (statusCode! < 200 || statusCode! > 599) {
    throw new Error(`the answer has the status ${statusCode}, which is not one of HTTP's`);
  }
  // Gateways have no reason to send a request elsewhere.
  if (statusCode! >= 300 && statusCode! < 400) throw new Error(`it is sent elsewhere (status ${statusCode})`);
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    throw new Error(`the answer is compressed (${encoding}), which was not asked for`);
  }
}

/** Passes the answer to `take` piece by piece, until its end. @throws what `take` throws, which ends the answer; Error with a code */
function taken(
  incoming: IncomingMessage,
  take: (part: Buffer) => void,
  others: Urgency["others"],
): Promise<void> {
  let inTurn = 0;
  // Not `for await`: before each part, it would let other work run first.
  incoming.on("data", (part: Buffer) => {
    try {
      take(part);
    } catch (error) {
      incoming.destroy(error as Error);
    }
    inTurn += part.length;
    if (inTurn < TURN_BYTES) return;
    inTurn = 0;
    const first = others();
    if (first === undefined) return;
    incoming.pause();
    first.then(() => incoming.resume());
  });
  return finished(incoming);
}

/** Ends a request whose answer stops for too long, comes too slowly, or takes too long as a whole. */
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
   * @param through the proxy, as the end of a sentence; empty without one
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

/** Puts the parts of an answer together, in one buffer. */
class Body {
  #buffer: Uint8Array<ArrayBuffer>;
  #length = 0;
  readonly #most: number;

  /**
   * @param expected bytes, as the gateway claims: a wrong number costs a copy
   * @param most limit on the bytes
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

/** Uninitialized memory: only bytes that have been written are passed on. */
function unfilled(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);
}

/** Characters that Node lets pass in a reason phrase, although HTTP forbids them (RFC 9112, section 4). */
const NOT_IN_STATUS_TEXT = /[^\t\x20-\x7e\x80-\xff]/g;

/** An answer whose bytes have all arrived. They are not copied. */
function answer(bytes: Uint8Array<ArrayBuffer>, incoming: IncomingMessage, sha256?: Buffer): Answer {
  const headers = Object.entries(incoming.headersDistinct).map(
    ([name, values = []]) => [name, values.join(", ")] as const,
  );
  const status = incoming.statusCode!;
  const made: Answer = {
    ok: status < 300,
    status,
    statusText: incoming.statusMessage!.replace(NOT_IN_STATUS_TEXT, "?"),
    headers: new Map(headers),
    url: "",
    sha256,
    arrayBuffer: async () => bytes.buffer,
    text: async () => new TextDecoder().decode(bytes),
    clone: () => ({ ...made }),
  };
  return made;
}

/** Limit on the parts of an answer, not counting the certificate in it: a query's answer has twenty, and seven for each node that signs. */
const MOST_PARTS = 1000;

/**
 * Checks that an answer of status 200 is CBOR. A captive portal's page, for example, is not.
 *
 * @param through as of Limits
 * @throws FormatError
 */
function checkAnswer(bytes: Uint8Array, { origin, pathname }: URL, through: string): void {
  const what = `what answers at ${origin}${through} is not an IC network`;
  const page = titleOf(Buffer.from(bytes.subarray(0, MOST_OF_PAGE)).toString());
  if (page !== undefined) throw new PageError(`${what}: ${page}`);
  try {
    checkCbor(bytes, MOST_PARTS);
    if (/\/(read_state|call)$/.test(pathname)) checkCertificateIn(bytes);
  } catch (error) {
    throw new FormatError(`${what}: ${messageOf(error)}`);
  }
}

/** Checks the certificate in an answer, which is CBOR within CBOR: the agent decodes both. @throws FormatError */
function checkCertificateIn(bytes: Uint8Array): void {
  const reader = new CborReader(bytes);
  reader.selfDescribed();
  for (let left = reader.map(); left > 0; left--) {
    if (reader.text() === "certificate") checkCertificate(reader.bytes(), ANY_ITEM);
    else reader.skip();
  }
}
