/**
 * fetch() for answers from gateways that are not trusted: bounded in time and size, and well-formed before anybody
 * decodes them. It goes through node:http, and an answer is put together in place: Node's own fetch() makes four copies
 * more of each, and every one counts until the garbage is collected (a mount reads gigabytes this way).
 */
import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { FormatError, messageOf } from "../errors.ts";
import { NoAnswerError } from "./call-errors.ts";
import { CborReader, checkCbor } from "./cbor-reader.ts";

/** The IC's limit for a query's reply is 3 MiB; a certificate or a call's reply is far smaller. */
const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;
/** How many times the idle time-out all of an answer may take: a gateway must not hold a reader up with a trickle. */
const MAX_IDLE_TIMES = 6;

/**
 * A slow link is not a silent one: with several answers on their way at once each takes longer, and giving up on those
 * that do arrive would only send them all again. So the time-out begins anew with everything that arrives.
 *
 * @param init its method, headers and body; the body is bytes
 * @param idle milliseconds without a byte after which the request has failed
 * @param received told of each piece of the answer, in bytes, as it arrives
 * @throws NoAnswerError when there is none in time, or only a part of one; Error when it is too large, or no plain one; FormatError
 *   when one of status 200 is no CBOR
 */
export async function boundedFetch(
  url: string | URL | Request,
  init: RequestInit | undefined,
  idle: number,
  received: (bytes: number) => void = () => {},
): Promise<Response> {
  const target = new URL(url instanceof Request ? url.url : url);
  const controller = new AbortController();
  const { signal } = controller;
  const expire = () => controller.abort(new NoAnswerError(`no answer within ${idle / 1000} s`));
  const longest = setTimeout(expire, idle * MAX_IDLE_TIMES);
  const silence = setTimeout(expire, idle);
  try {
    const incoming = await send(target, init, signal);
    refuseDetours(incoming);
    const body = new Body(Number(incoming.headers["content-length"] ?? 0));
    for await (const part of incoming) {
      silence.refresh();
      body.add(part);
      received(part.length);
    }
    const bytes = body.end();
    if (incoming.statusCode === 200) checkAnswer(bytes, target);
    return new Answer(bytes, incoming);
  } catch (error) {
    // The stream says only that it was aborted.
    signal.throwIfAborted();
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
    throw new NoAnswerError("the connection was closed before the end of the answer", { cause: error });
  } finally {
    clearTimeout(longest);
    clearTimeout(silence);
    // Ends what is left of an answer that was refused.
    controller.abort();
  }
}

/** Resolves when the answer begins. Connections are kept for the next request, as Node's agents do. */
function send(url: URL, init: RequestInit | undefined, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const body = init?.body as Uint8Array | null | undefined;
  const request = (url.protocol === "https:" ? requestHttps : requestHttp)(
    url,
    {
      method: init?.method ?? "GET",
      headers: {
        ...Object.fromEntries(new Headers(init?.headers)),
        ...(body ? { "content-length": body.byteLength } : {}),
      },
      signal,
    },
    resolve,
  );
  request.on("error", (cause) => reject(new NoAnswerError(messageOf(cause), { cause })));
  request.end(body ?? undefined);
  return promise;
}

/** @throws Error */
function refuseDetours({ statusCode, headers }: IncomingMessage): void {
  // Gateways have no reason to send a request elsewhere.
  if (statusCode! >= 300 && statusCode! < 400) throw new Error(`it is sent elsewhere (status ${statusCode})`);
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    throw new Error(`the answer is packed (${encoding}), which was not asked for`);
  }
}

/** What arrives of an answer, in one piece. */
class Body {
  #buffer: Uint8Array<ArrayBuffer>;
  #length = 0;

  /** @param expected bytes, as the gateway says: what it gets wrong costs a copy */
  constructor(expected: number) {
    this.#buffer = new Uint8Array(Math.min(expected, MAX_RESPONSE_BYTES));
  }

  /** @throws Error when it is too much */
  add(part: Uint8Array): void {
    const length = this.#length + part.length;
    if (length > MAX_RESPONSE_BYTES) {
      throw new Error(`an answer of over ${MAX_RESPONSE_BYTES} bytes is too large`);
    }
    if (length > this.#buffer.length) {
      const larger = new Uint8Array(Math.min(Math.max(length, 2 * this.#buffer.length), MAX_RESPONSE_BYTES));
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

/** A response whose bytes are here already, and given without a copy; it has no stream. */
class Answer extends Response {
  override readonly arrayBuffer: () => Promise<ArrayBuffer>;
  override readonly text: () => Promise<string>;
  override readonly clone: () => Response;

  /** @throws RangeError when the status is none that HTTP has */
  constructor(bytes: Uint8Array<ArrayBuffer>, incoming: IncomingMessage) {
    const headers = new Headers();
    for (const [name, values] of Object.entries(incoming.headersDistinct)) {
      for (const value of values ?? []) headers.append(name, value);
    }
    super(null, { status: incoming.statusCode!, statusText: incoming.statusMessage!, headers });
    this.arrayBuffer = async () => bytes.buffer;
    this.text = async () => new TextDecoder().decode(bytes);
    this.clone = () => new Answer(bytes, incoming);
  }
}

/** A captive portal's page, for one, comes with status 200. @throws FormatError */
function checkAnswer(bytes: Uint8Array, { origin, pathname }: URL): void {
  try {
    checkCbor(bytes);
    if (/\/(read_state|call)$/.test(pathname)) checkCertificate(bytes);
  } catch (error) {
    throw new FormatError(`what answers at ${origin} is no IC network: ${messageOf(error)}`);
  }
}

/** Answers with a certificate are a map with CBOR in CBOR, and the agent decodes both. @throws FormatError */
function checkCertificate(bytes: Uint8Array): void {
  const reader = new CborReader(bytes);
  reader.selfDescribed();
  for (let left = reader.map(); left > 0; left--) {
    if (reader.text() === "certificate") checkCbor(reader.bytes());
    else reader.skip();
  }
}
