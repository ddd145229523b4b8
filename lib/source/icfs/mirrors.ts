/**
 * Mirrors of an icfs canister: URLs below which /.icfs/... answers as the canister's own does, or directories that have the same as files.
 * They are asked in the order in which they were named, the network last. Nobody is believed: what a mirror brings is verified before it
 * counts, and one that brings something else is put aside, by the rules of lib/ic/gateway/gateways.ts.
 */
import { fileURLToPath } from "node:url";
import { isAbsent, messageOf } from "../../errors.ts";
import { HttpStatusError, NoAnswerError } from "../../ic/call-errors.ts";
import { isWrong } from "../../ic/certificate/certificate.ts";
import type { GatewayHealth } from "../../ic/gateway/gateway.ts";
import { withoutRepeats } from "../../ic/gateway/gateway-fetch.ts";
import { Gateways } from "../../ic/gateway/gateways.ts";
import { type Answered, type Carried, NotHereError, WrongAnswerError } from "../../ic/gateway/question.ts";
import { boundedFetch, type Received } from "../../ic/transport/bounded-fetch.ts";
import { readKept } from "../../kept-file.ts";

/** How a mirror does, since the process began. */
export interface MirrorHealth extends GatewayHealth {
  /** Chunks that it has brought, all verified, and their bytes. */
  readonly chunks: number;
  readonly bytes: number;
  /** Questions for what it has not got: a release that it has not copied yet, or a proof that is not too old. */
  readonly missing: number;
}

export interface MirrorsOptions {
  /** The network is never asked. */
  readonly only: boolean;
  /** Milliseconds that the proof of a mirror's release may be old when nobody has a fresh one; 0: it is to be fresh. */
  readonly maxStale: number;
}

/** What is asked for. */
export interface Question<T> {
  /** Below the mirror's URL. */
  readonly path: string;
  readonly isChunk?: boolean;
  /** Bytes that it may have. */
  readonly most: number;
  /** Milliseconds without a byte after which a request fails. */
  readonly limit: number;
  /** What the bytes are, verified. @throws VerificationError, FormatError: the mirror's answer is wrong; NotHereError: it is right, and of no use */
  readonly verify: (bytes: Buffer) => Promise<T>;
  /** Asks the network, where that may be asked. */
  readonly network: () => Promise<T>;
  readonly received?: Received | undefined;
  /** What to throw when all that were asked have not got it, by the first's words. */
  readonly missing: (why: string) => Error;
}

/** Among mirrors, what stands for the network. */
const NETWORK = "the network";
/** Answers that were wrong are asked for again past all caches; so many are remembered. */
const MOST_SUSPECTS = 1000;

interface Carrying<T> extends Answered {
  readonly value?: T;
  readonly size: number;
}

interface Counts {
  chunks: number;
  bytes: number;
  missing: number;
}

export class Mirrors {
  readonly maxStale: number;
  readonly only: boolean;
  readonly #carriers: Gateways;
  readonly #counts: ReadonlyMap<string, Counts>;
  /** URLs whose answers were wrong. */
  readonly #suspects = new Set<string>();

  /** @param urls at least one, without slashes at their ends */
  constructor(urls: readonly string[], { only, maxStale }: MirrorsOptions) {
    this.only = only;
    this.maxStale = maxStale;
    const named = [...new Set(urls)];
    this.#carriers = new Gateways(only ? named : [...named, NETWORK], {
      first: "as named",
      called: "mirror",
    });
    this.#counts = new Map(named.map((url) => [url, { chunks: 0, bytes: 0, missing: 0 }]));
  }

  /** Who is told in a sentence when a mirror is put aside: the log. */
  set tell(tell: (event: string) => void) {
    this.#carriers.tell = tell;
  }

  health(): MirrorHealth[] {
    return this.#carriers.health().flatMap((one) => {
      const counts = this.#counts.get(one.url);
      return counts === undefined ? [] : [{ ...one, ...counts }];
    });
  }

  /**
   * What the first of them has that has it right.
   *
   * @throws what the network has said, where it was asked; else `missing`, or why no mirror answers
   */
  async ask<T>(question: Question<T>): Promise<T> {
    const errors = new Map<string, unknown>();
    const told = withoutRepeats(question.received);
    const carry = async (url: string, signal: AbortSignal, heard: () => void): Promise<Carrying<T>> => {
      const tell = told();
      try {
        return await this.#carry(url, question, signal, (bytes) => {
          heard();
          tell(bytes);
        });
      } catch (error) {
        if (!signal.aborted) errors.set(url, error);
        throw this.#judged(url, question.path, error);
      }
    };
    let carried: Carried<Carrying<T>>;
    try {
      const { limit } = question;
      // A reader's deadline is twice that: one that drips leaves time for another.
      carried = await this.#carriers.ask({ kind: "get", limit, whole: limit }, carry);
    } catch {
      throw inOne(errors, question);
    }
    const { response, url } = carried;
    if (response.status !== 200) throw inOne(errors.set(url, statusError(response)), question);
    const counts = this.#counts.get(url);
    if (counts !== undefined && question.isChunk) {
      counts.chunks += 1;
      counts.bytes += response.size;
    }
    return response.value as T;
  }

  async #carry<T>(
    url: string,
    { path, most, limit, verify, network }: Question<T>,
    signal: AbortSignal,
    received: Received,
  ): Promise<Carrying<T>> {
    if (url === NETWORK) return { status: 200, headers: [], size: 0, value: await network() };
    const address = `${url}/${path}`;
    if (url.startsWith("file:")) {
      const bytes = await readFile(address, most);
      return { status: 200, headers: [], size: bytes.length, value: await verify(bytes) };
    }
    // A cache on the way may have kept what was wrong.
    const headers = this.#suspects.has(address) ? { "cache-control": "no-cache" } : undefined;
    const response = await boundedFetch(
      address,
      { signal, ...(headers && { headers }) },
      limit,
      received,
      most,
      "bytes",
    );
    const { status } = response;
    if (status === 404 || status === 410) throw new NotHereError(`it has no ${path}`);
    // A cache that does not get it itself: what it has kept is as good as ever.
    if (status === 502 || status === 504)
      throw new NotHereError(`it cannot get ${path} (HTTP status ${status})`);
    // What limits, or is broken, says so, and for how long; another "no" is nobody's word.
    if (status === 429 || status >= 500) return { status, headers: response.headers, size: 0 };
    if (status !== 200) throw statusError(response);
    const bytes = Buffer.from(await response.arrayBuffer());
    const value = await verify(bytes);
    this.#suspects.delete(address);
    return { status, headers: response.headers, size: bytes.length, value };
  }

  /** What it means for whoever was asked. */
  #judged(url: string, path: string, error: unknown): unknown {
    // Its gateways are known by themselves.
    if (url === NETWORK) return new NotHereError(messageOf(error), { cause: error });
    if (error instanceof NotHereError) {
      this.#counts.get(url)!.missing += 1;
      return error;
    }
    if (!isWrong(error)) return error;
    if (this.#suspects.size < MOST_SUSPECTS) this.#suspects.add(`${url}/${path}`);
    return new WrongAnswerError(messageOf(error), { cause: error });
  }
}

function statusError({ status }: Answered): HttpStatusError {
  return new HttpStatusError(status, `HTTP status ${status}`);
}

/** @throws NotHereError; Error */
async function readFile(address: string, most: number): Promise<Buffer> {
  try {
    return (await readKept(fileURLToPath(address), most)).bytes;
  } catch (error) {
    if (isAbsent(error)) throw new NotHereError(`there is no ${fileURLToPath(address)}`, { cause: error });
    throw error;
  }
}

/** @param errors of each that was asked, in the order in which they failed */
function inOne<T>(errors: ReadonlyMap<string, unknown>, { missing }: Question<T>): unknown {
  if (errors.has(NETWORK)) return errors.get(NETWORK);
  const all = [...errors];
  const text = all.map(([url, error]) => `${url}: ${messageOf(error)}`).join("; ");
  const bad = all.filter(([, error]) => !(error instanceof NotHereError));
  if (bad.length === 0) return missing(text);
  // It is wrong only when nobody else may have been right.
  const wrong = bad.find(([, error]) => isWrong(error));
  if (wrong !== undefined && bad.length === all.length) return wrong[1];
  return new NoAnswerError(`no mirror answers: ${text}`, { cause: bad[0]![1] });
}
