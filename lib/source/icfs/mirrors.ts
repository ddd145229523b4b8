/**
 * Mirrors of an icfs canister: URLs below which /.icfs/... answers like the canister's own, or directories with the same files. They are
 * asked in the order in which they were named, and the network last. Several mirrors can have the same rank, and share the requests.
 * Mirrors are not trusted: everything is verified before it counts, and a mirror that sends something wrong is put aside, by the rules of
 * lib/ic/gateway/gateways.ts.
 */
import { hash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pLimit, { type LimitFunction } from "p-limit";
import { FormatError, isAbsent, messageOf } from "../../errors.ts";
import { retryAfter } from "../../ic/agent-error.ts";
import { HttpStatusError, NoAnswerError } from "../../ic/call-errors.ts";
import { isWrong, UntimelyError, VerificationError } from "../../ic/certificate/certificate.ts";
import type { GatewayHealth } from "../../ic/gateway/gateway.ts";
import { withoutRepeats } from "../../ic/gateway/gateway-fetch.ts";
import { Gateways } from "../../ic/gateway/gateways.ts";
import {
  type Answered,
  type Carried,
  type Carry,
  NotHereError,
  WrongAnswerError,
} from "../../ic/gateway/question.ts";
import { boundedFetch, type Received } from "../../ic/transport/bounded-fetch.ts";
import { NoFileError, readKept } from "../../kept-file.ts";
import { LEISURE_TIMES, type Urgency } from "../../urgency.ts";
import { Absence } from "./absence.ts";

/** What a mirror has done since the process began. */
export interface MirrorHealth extends GatewayHealth {
  /** Chunks that it has sent, all verified, and their bytes. */
  readonly chunks: number;
  readonly bytes: number;
  /** Requests for something that it does not have: a release that it has not copied yet, or a proof that is not too old. */
  readonly missing: number;
  /** Answers that did not verify. Each is requested once more, past all caches; if it is right then, the mirror is not put aside. */
  readonly wrong: number;
}

/** How many chunks were sent, and their bytes. */
export interface Brought {
  readonly chunks: number;
  readonly bytes: number;
}

export interface MirrorsOptions {
  /** The network is never asked. */
  readonly only: boolean;
  /**
   * The allowed age of a mirror's proof, in milliseconds, if nobody has a fresh one. 0: it must be fresh. A limit below five minutes holds
   * for fresh proofs, too.
   */
  readonly maxStale: number;
  /**
   * Milliseconds that all but the last one asked may take together, even if parts of their answers keep coming. Default: a question's
   * limit, which is also the most.
   */
  readonly whole?: number;
}

/** A request to the mirrors and the network, with what it takes to verify the answer. */
export interface Question<T> {
  /** Below the mirror's URL. */
  readonly path: string;
  readonly isChunk?: boolean;
  /** Bytes that the answer may have. */
  readonly most: number;
  /** Milliseconds without a byte after which a request fails. */
  readonly limit: number;
  /**
   * Verifies and decodes the answer.
   *
   * @param digest SHA-256 of the bytes, if they were hashed as they arrived
   * @throws VerificationError, FormatError: the mirror's answer is wrong; NotHereError: it is right, but of no use
   */
  readonly verify: (bytes: Buffer, digest?: Buffer) => Promise<T>;
  /** Asks the network, if that is allowed. @param received told of its bytes as they arrive @param urgency as below */
  readonly network: (received: Received, urgency: Urgency | undefined) => Promise<T>;
  readonly received?: Received | undefined;
  /** Until it rises the answer may take its time. Default: it has risen. */
  readonly urgency?: Urgency | undefined;
  /** Makes the error to throw when nobody has it. @param why what each mirror said */
  readonly missing: (why: string) => Error;
}

/** A question as it is put to one mirror, or to the network. */
interface Asked<T> extends Question<T> {
  /** `others` of the question's urgency, which itself is not always passed on. */
  readonly others: Urgency["others"] | undefined;
}

/** The network's place among the mirrors. */
const NETWORK = "the network";
/**
 * Files of a directory that are read at a time. With a disk that hangs, or a dead NFS server, each occupies a thread of Node's pool,
 * and the mount itself needs some of these (bin/icfs).
 */
const READS_AT_ONCE = 2;
/** The system's errors for a file on a damaged disk, or one without read permission. */
const DAMAGES = new Set(["EIO", "EUCLEAN", "ELOOP", "EACCES", "EPERM"]);
/** The longest pause before a mirror is asked again for something that is on its way to it, since a reader may begin to wait meanwhile. */
const LONGEST_PAUSE_MS = 1000;

/** What was asked for is on its way to the mirror, but not there yet. */
class ComingError extends NotHereError {}

/** Why a mirror is asked for chunks after all others, in words. */
const ABSENT = "it had none of the chunks that it was asked for lately";

interface Carrying<T> extends Answered {
  readonly value?: T;
  readonly size: number;
}

interface Counts {
  chunks: number;
  bytes: number;
  missing: number;
  wrong: number;
  readonly absence: Absence;
}

/** The URLs of one rank; a single URL need not be in an array. */
export type EqualMirrors = string | readonly string[];

export class Mirrors {
  readonly maxStale: number;
  readonly only: boolean;
  readonly #whole: number;
  readonly #carriers: Gateways;
  /** The URLs of each rank, in order; the network's rank is the last. */
  readonly #places: readonly (readonly string[])[];
  readonly #counts: ReadonlyMap<string, Counts>;
  readonly #disks: ReadonlyMap<string, LimitFunction>;

  /** @param named at least one, nearest first, without slashes at their ends */
  constructor(named: readonly EqualMirrors[], { only, maxStale, whole }: MirrorsOptions) {
    this.only = only;
    this.maxStale = maxStale;
    this.#whole = whole ?? Number.POSITIVE_INFINITY;
    const places = named.map((one) => [one].flat());
    this.#places = only ? places : [...places, [NETWORK]];
    const urls = [...new Set(this.#places.flat())];
    this.#carriers = new Gateways(urls, { first: "as named", called: "mirror" });
    this.#counts = new Map(
      urls.map((url) => [url, { chunks: 0, bytes: 0, missing: 0, wrong: 0, absence: new Absence() }]),
    );
    this.#disks = new Map(urls.filter(isDirectory).map((url) => [url, pLimit(READS_AT_ONCE)]));
  }

  /** Called with a sentence for the log when a mirror is put aside. */
  set tell(tell: (event: string) => void) {
    this.#carriers.tell = tell;
  }

  /** What each mirror has done, in the order in which they were named. */
  health(): MirrorHealth[] {
    const mirrors = this.#carriers.health().filter(({ url }) => url !== NETWORK);
    return mirrors.map((one) => {
      const { absence, ...counts } = this.#counts.get(one.url)!;
      const until = new Date(Date.now() + absence.left).toISOString();
      return { ...(absence.left > 0 && { aside: { until, why: ABSENT } }), ...one, ...counts };
    });
  }

  /** What the network has sent when it was asked instead. */
  get fromNetwork(): Brought {
    const { chunks = 0, bytes = 0 } = this.#counts.get(NETWORK) ?? {};
    return { chunks, bytes };
  }

  /**
   * The answer of the first mirror that has a correct one.
   *
   * @throws the network's error, if the network was asked; otherwise `missing`, or why no mirror has a correct answer
   */
  async ask<T>(question: Question<T>): Promise<T> {
    const errors = new Map<string, unknown>();
    const told = withoutRepeats(question.received);
    const others = question.urgency?.others;
    const carry: Carry<Carrying<T>> = async (url, signal, heard, urgency) => {
      const tell = told();
      const received = (bytes: number) => {
        heard();
        tell(bytes);
      };
      try {
        return await this.#carryOrAgain(url, { ...question, received, urgency, others }, signal);
      } catch (error) {
        if (!signal.aborted) errors.set(url, error);
        throw this.#judged(url, error, question.isChunk);
      }
    };
    let carried: Carried<Carrying<T>>;
    try {
      const { limit, urgency } = question;
      // A reader's deadline is twice the limit: dripping mirrors, however many, leave half of it for the last one.
      const whole = Math.min(limit, this.#whole) / Math.max(1, this.#carriers.count - 1);
      carried = await this.#carriers.ask(
        { kind: "get", limit, whole, order: this.#order(question), urgency },
        carry,
      );
    } catch {
      throw inOne(errors, question);
    }
    const { response, url } = carried;
    if (response.status !== 200) throw inOne(errors.set(url, statusError(response)), question);
    if (question.isChunk) {
      const counts = this.#counts.get(url)!;
      counts.chunks += 1;
      counts.bytes += response.size;
      counts.absence.over();
    }
    return response.value as T;
  }

  /**
   * The order for a question. Mirrors of equal rank share the paths; the share of one that is put aside is spread over the others. For a
   * chunk, mirrors that had none lately come after all others.
   */
  #order<T>({ path, isChunk = false }: Question<T>): string[] {
    const order = this.#places.flatMap((urls) =>
      urls.length === 1 ? urls : urls.toSorted((a, b) => weight(b, path) - weight(a, path)),
    );
    const isAbsent = (url: string) => isChunk && this.#counts.get(url)!.absence.left > 0;
    return [...order.filter((url) => !isAbsent(url)), ...order.filter(isAbsent)];
  }

  /** #carry(), and once more if the answer is wrong, since a cache in front of the mirror may have kept something damaged. */
  async #carryOrAgain<T>(url: string, question: Asked<T>, signal: AbortSignal): Promise<Carrying<T>> {
    try {
      return await this.#carry(url, question, signal);
    } catch (error) {
      if (!isWrong(error) || url === NETWORK) throw error;
      this.#counts.get(url)!.wrong += 1;
      if (isDirectory(url) || signal.aborted) throw error;
      const answer = await this.#carry(url, question, signal, "past caches").catch((again) => {
        if (isWrong(again)) this.#counts.get(url)!.wrong += 1;
        // Its first answer was wrong, whatever it says now.
        throw error;
      });
      this.#carriers.tell(
        `the mirror ${url} has given a wrong answer (${messageOf(error)}), and the right one when it was asked past its cache`,
      );
      return answer;
    }
  }

  async #carry<T>(
    url: string,
    { path, isChunk = false, most, limit, verify, network, received = () => {}, urgency, others }: Asked<T>,
    signal: AbortSignal,
    way?: "past caches",
  ): Promise<Carrying<T>> {
    if (url === NETWORK) {
      const value = await network(received, urgency);
      return { status: 200, headers: [], size: value instanceof Uint8Array ? value.length : 0, value };
    }
    const address = `${url}/${path}`;
    if (isDirectory(url)) {
      const bytes = await within(limit, signal, () =>
        this.#disks.get(url)!(read, address, most, signal),
      ).catch((error) => {
        // Asking again would give the same answer, and other chunks may be right.
        throw isChunk && isDamage(error) ? new FormatError(messageOf(error), { cause: error }) : error;
      });
      return { status: 200, headers: [], size: bytes.length, value: await verify(bytes) };
    }
    const headers = way === "past caches" ? { "cache-control": "no-cache" } : undefined;
    const leisure = LEISURE_TIMES * limit;
    const get = () =>
      boundedFetch(
        address,
        { signal, ...(headers && { headers }) },
        { idle: limit, urgency, leisure, most, others },
        received,
        "bytes",
      );
    const began = performance.now();
    let response = await get();
    while (urgency?.isUrgent === false && response.status === 404) {
      const pause = retryAfter([...response.headers]);
      // Without Retry-After, nothing is on its way.
      if (pause === 0) break;
      if (performance.now() - began >= leisure)
        throw new NoAnswerError(`for ${leisure / 1000} s ${path} has been on its way`);
      await sleep(Math.min(pause, LONGEST_PAUSE_MS) * (0.5 + Math.random()), undefined, { signal });
      response = await get();
    }
    const { status } = response;
    if (status === 404 && retryAfter([...response.headers]) > 0) {
      throw new ComingError(`${path} is on its way to it`);
    }
    if (status === 404 || status === 410) throw new NotHereError(`it has no ${path}`);
    // The mirror is a cache that cannot fetch it. What the cache has kept is still good.
    if (status === 502 || status === 504)
      throw new NotHereError(`it cannot get ${path} (HTTP status ${status})`);
    // lib/ic/gateway/question.ts judges a limit or a failure, by its status and Retry-After. Any other status means that there is no
    // answer.
    if (status === 429 || status >= 500) return { status, headers: response.headers, size: 0 };
    if (status !== 200) throw statusError(response);
    const bytes = Buffer.from(await response.arrayBuffer());
    return {
      status,
      headers: response.headers,
      size: bytes.length,
      value: await verify(bytes, response.sha256),
    };
  }

  /** The error in the form in which lib/ic/gateway/question.ts judges a mirror by it. */
  #judged(url: string, error: unknown, isChunk = false): unknown {
    // lib/ic/gateway/gateways.ts tracks the network's gateways.
    if (url === NETWORK) return new NotHereError(messageOf(error), { cause: error });
    if (error instanceof NotHereError) {
      const counts = this.#counts.get(url)!;
      counts.missing += 1;
      const isLacking = isChunk && this.#carriers.count > 1 && !(error instanceof ComingError);
      if (isLacking && counts.absence.missing())
        this.#carriers.tell(`the mirror ${url} is put aside: ${ABSENT}`);
      return error;
    }
    return isWrong(error) ? new WrongAnswerError(messageOf(error), { cause: error }) : error;
  }
}

function statusError({ status }: Answered): HttpStatusError {
  return new HttpStatusError(status, `HTTP status ${status}`);
}

function isDirectory(url: string): boolean {
  return url.startsWith("file:");
}

/** The weight of one of several equal mirrors for a path. The heaviest is asked first, so adding or removing one moves few paths. */
function weight(url: string, path: string): number {
  return hash("sha256", `${url} ${path}`, "buffer").readUIntBE(0, 6);
}

/** Waits for work that may hang: it cannot be cancelled, but nobody waits longer. @param limit milliseconds @throws NoAnswerError then */
async function within<T>(limit: number, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const ended = new AbortController();
  const tooLong = sleep(limit, undefined, { signal: AbortSignal.any([signal, ended.signal]) }).then(() => {
    throw new NoAnswerError(`no answer within ${limit / 1000} s`);
  });
  try {
    return await Promise.race([work(), tooLong]);
  } finally {
    ended.abort();
  }
}

/** The bytes of a file, at most `most`. @throws NotHereError when there is none; NoFileError; Error with the system's code */
async function read(address: string, most: number, signal: AbortSignal): Promise<Buffer> {
  signal.throwIfAborted();
  try {
    return (await readKept(fileURLToPath(address), most)).bytes;
  } catch (error) {
    if (isAbsent(error)) throw new NotHereError(`there is no ${fileURLToPath(address)}`, { cause: error });
    throw error;
  }
}

/** Whether the file cannot be a chunk, or cannot be read because of a damaged disk or missing permission. */
function isDamage(error: unknown): boolean {
  return error instanceof NoFileError || DAMAGES.has((error as NodeJS.ErrnoException).code ?? "");
}

/** One error for all of them. @param errors by mirror (or the network), in the order in which they failed */
function inOne<T>(errors: ReadonlyMap<string, unknown>, { missing }: Question<T>): unknown {
  if (errors.has(NETWORK)) return errors.get(NETWORK);
  const all = [...errors];
  const text = all.map(([url, error]) => `${url}: ${messageOf(error)}`).join("; ");
  const bad = all.filter(([, error]) => !(error instanceof NotHereError));
  if (bad.length === 0) return missing(text);
  const wrong = all.filter(([, error]) => isWrong(error));
  const [, cause] = wrong[0] ?? bad[0]!;
  const options = { cause };
  if (wrong.length === 0) return new NoAnswerError(`no mirror answers: ${text}`, options);
  const message = `no mirror has a right answer: ${text}`;
  // An error is final only if nobody else may have been right.
  if (wrong.length < all.length) return new NoAnswerError(message, options);
  const isUntimely = wrong.some(([, one]) => one instanceof UntimelyError);
  return new (isUntimely ? UntimelyError : VerificationError)(message, options);
}
