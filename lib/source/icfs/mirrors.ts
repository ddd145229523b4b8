/**
 * Mirrors of an icfs canister: URLs below which /.icfs/... answers as the canister's own does, or directories that have the same as files.
 * They are asked in the order in which they were named, the network last; several may have the same place in it, and share what is asked for.
 * Nobody is believed: what a mirror brings is verified before it counts, and one that brings something else is put aside, by the rules of
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

/** How a mirror does, since the process began. */
export interface MirrorHealth extends GatewayHealth {
  /** Chunks that it has brought, all verified, and their bytes. */
  readonly chunks: number;
  readonly bytes: number;
  /** Questions for what it has not got: a release that it has not copied yet, or a proof that is not too old. */
  readonly missing: number;
  /** Answers that did not verify. Each is asked for once more, past all caches: what is right then does not put the mirror aside. */
  readonly wrong: number;
}

/** Chunks, and their bytes. */
export interface Brought {
  readonly chunks: number;
  readonly bytes: number;
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
  /** Asks the network, where that may be asked. @param received told of its bytes as they arrive @param urgency as below */
  readonly network: (received: Received, urgency: Urgency | undefined) => Promise<T>;
  readonly received?: Received | undefined;
  /** Until it rises the answer may take its time. Default: it has risen. */
  readonly urgency?: Urgency | undefined;
  /** What to throw when all that were asked have not got it, by the first's words. */
  readonly missing: (why: string) => Error;
}

/** Among mirrors, what stands for the network. */
const NETWORK = "the network";
/**
 * Files of a directory that are read at a time. A disk that hangs, or an NFS server that is gone, takes a thread of Node's pool for each,
 * of which the mount itself needs some (bin/icfs).
 */
const READS_AT_ONCE = 2;
/** What the system says of a file on a damaged disk, or of one that is not to be read. */
const DAMAGES = new Set(["EIO", "EUCLEAN", "ELOOP", "EACCES", "EPERM"]);
/** Before a mirror is asked again for what is on its way to it: somebody may come to wait meanwhile. */
const LONGEST_PAUSE_MS = 1000;

/** It is on its way to the mirror: only not here yet. */
class ComingError extends NotHereError {}

/** Why a mirror is asked for chunks after all others. */
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

/** URLs that are one mirror as far as their place in the order goes; one alone may stand by itself. */
export type EqualMirrors = string | readonly string[];

export class Mirrors {
  readonly maxStale: number;
  readonly only: boolean;
  readonly #carriers: Gateways;
  /** By place; the network's is the last. */
  readonly #places: readonly (readonly string[])[];
  readonly #counts: ReadonlyMap<string, Counts>;
  readonly #disks: ReadonlyMap<string, LimitFunction>;

  /** @param named at least one, nearest first, without slashes at their ends */
  constructor(named: readonly EqualMirrors[], { only, maxStale }: MirrorsOptions) {
    this.only = only;
    this.maxStale = maxStale;
    const places = named.map((one) => [one].flat());
    this.#places = only ? places : [...places, [NETWORK]];
    const urls = [...new Set(this.#places.flat())];
    this.#carriers = new Gateways(urls, { first: "as named", called: "mirror" });
    this.#counts = new Map(
      urls.map((url) => [url, { chunks: 0, bytes: 0, missing: 0, wrong: 0, absence: new Absence() }]),
    );
    this.#disks = new Map(urls.filter(isDirectory).map((url) => [url, pLimit(READS_AT_ONCE)]));
  }

  /** Who is told in a sentence when a mirror is put aside: the log. */
  set tell(tell: (event: string) => void) {
    this.#carriers.tell = tell;
  }

  /** In the order in which they were named. */
  health(): MirrorHealth[] {
    const mirrors = this.#carriers.health().filter(({ url }) => url !== NETWORK);
    return mirrors.map((one) => {
      const { absence, ...counts } = this.#counts.get(one.url)!;
      const until = new Date(Date.now() + absence.left).toISOString();
      return { ...(absence.left > 0 && { aside: { until, why: ABSENT } }), ...one, ...counts };
    });
  }

  /** What the network has brought, when it was asked in their stead. */
  get fromNetwork(): Brought {
    const { chunks = 0, bytes = 0 } = this.#counts.get(NETWORK) ?? {};
    return { chunks, bytes };
  }

  /**
   * What the first of them has that has it right.
   *
   * @throws what the network has said, where it was asked; else `missing`, or why no mirror answers
   */
  async ask<T>(question: Question<T>): Promise<T> {
    const errors = new Map<string, unknown>();
    const told = withoutRepeats(question.received);
    const carry: Carry<Carrying<T>> = async (url, signal, heard, urgency) => {
      const tell = told();
      const received = (bytes: number) => {
        heard();
        tell(bytes);
      };
      try {
        return await this.#carryOrAgain(url, { ...question, received, urgency }, signal);
      } catch (error) {
        if (!signal.aborted) errors.set(url, error);
        throw this.#judged(url, error, question.isChunk);
      }
    };
    let carried: Carried<Carrying<T>>;
    try {
      const { limit, urgency } = question;
      // A reader's deadline is twice the limit: those that drip leave half of it for the last one, however many they are.
      const whole = limit / Math.max(1, this.#carriers.count - 1);
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

  /** Of those that have the same place each has its share of what there is, and of a share whose mirror is put aside each of the others. */
  #order<T>({ path, isChunk = false }: Question<T>): string[] {
    const order = this.#places.flatMap((urls) =>
      urls.length === 1 ? urls : urls.toSorted((a, b) => weight(b, path) - weight(a, path)),
    );
    const isAbsent = (url: string) => isChunk && this.#counts.get(url)!.absence.left > 0;
    return [...order.filter((url) => !isAbsent(url)), ...order.filter(isAbsent)];
  }

  /** #carry(), and once more when the answer is wrong: a cache on the way may have kept it, and there is nothing wrong with the mirror. */
  async #carryOrAgain<T>(url: string, question: Question<T>, signal: AbortSignal): Promise<Carrying<T>> {
    try {
      return await this.#carry(url, question, signal);
    } catch (error) {
      if (!isWrong(error) || url === NETWORK) throw error;
      this.#counts.get(url)!.wrong += 1;
      if (isDirectory(url) || signal.aborted) throw error;
      const answer = await this.#carry(url, question, signal, "past caches").catch((again) => {
        if (isWrong(again)) this.#counts.get(url)!.wrong += 1;
        // Whatever it says now, it was wrong.
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
    { path, isChunk = false, most, limit, verify, network, received = () => {}, urgency }: Question<T>,
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
        // Asked again, it would be the same, and other chunks may be right.
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
        { idle: limit, urgency, leisure, most },
        received,
        "bytes",
      );
    const began = performance.now();
    let response = await get();
    while (urgency?.isUrgent === false && response.status === 404) {
      const pause = retryAfter([...response.headers]);
      // Without it, nothing is on its way.
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
    // A cache that does not get it itself: what it has kept is as good as ever.
    if (status === 502 || status === 504)
      throw new NotHereError(`it cannot get ${path} (HTTP status ${status})`);
    // What limits, or is broken, says so, and for how long; another "no" is nobody's word.
    if (status === 429 || status >= 500) return { status, headers: response.headers, size: 0 };
    if (status !== 200) throw statusError(response);
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status, headers: response.headers, size: bytes.length, value: await verify(bytes) };
  }

  /** What it means for whoever was asked. */
  #judged(url: string, error: unknown, isChunk = false): unknown {
    // Its gateways are known by themselves.
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

/** What one of several equal mirrors weighs for a path: the heaviest is asked. Whoever comes or goes changes nothing among the others. */
function weight(url: string, path: string): number {
  return hash("sha256", `${url} ${path}`, "buffer").readUIntBE(0, 6);
}

/** Reads that hang cannot be ended, but nobody waits for them. @param limit milliseconds @throws NoAnswerError after that */
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

/** @throws NotHereError; Error */
async function read(address: string, most: number, signal: AbortSignal): Promise<Buffer> {
  signal.throwIfAborted();
  try {
    return (await readKept(fileURLToPath(address), most)).bytes;
  } catch (error) {
    if (isAbsent(error)) throw new NotHereError(`there is no ${fileURLToPath(address)}`, { cause: error });
    throw error;
  }
}

/** Whether what is there cannot be a chunk, or cannot be read as its disk is damaged or its owner forbids it. */
function isDamage(error: unknown): boolean {
  return error instanceof NoFileError || DAMAGES.has((error as NodeJS.ErrnoException).code ?? "");
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
  if (wrong !== undefined && bad.length === all.length) {
    const Kind = wrong[1] instanceof UntimelyError ? UntimelyError : VerificationError;
    return new Kind(`no mirror has a right answer: ${text}`, { cause: wrong[1] });
  }
  return new NoAnswerError(`no mirror answers: ${text}`, { cause: bad[0]![1] });
}
