/**
 * Chunks from the network: one fetch for all callers that want the same one, retried until the last caller's deadline, and a
 * breaker (breaker.ts) that spares them an outage. All bytes are verified (lib/source).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { AdaptiveWindow } from "../adaptive-window.ts";
import { before } from "../deadline.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import {
  FIRST_LOADS,
  FIRST_PREFETCHES,
  LONGEST_REST_MS,
  MOST_LOADS,
  MOST_PREFETCHES,
  SHARE_AHEAD,
  SHARE_BACKGROUND,
  SLOW_DEADLINE_MS,
  TELLING_QUICKNESS,
  TELLING_SHARE,
  TURN_MS,
} from "../readahead.ts";
import { retrying } from "../retry.ts";
import { letOthers } from "../steps.ts";
import { MAX_CHUNK_BYTES } from "../tree/limits.ts";
import { type Chunk, keyOf, type VerifiedChunk } from "../tree/tree.ts";
import { Urgency } from "../urgency.ts";
import { Breaker } from "./breaker.ts";

/**
 * One attempt to get a chunk's verified bytes (lib/source), and the chunk itself as it is known from then on: with its hash.
 *
 * @param arrived called when a part has come, where more is needed than the chunk alone
 * @param received told of the chunk's bytes, unverified, as they arrive, where the source counts them
 * @param urgency until it rises the chunk may take its time
 */
export type FetchChunk = (
  reference: Chunk,
  arrived: () => void,
  received: (bytes: number) => void,
  urgency?: Urgency,
) => Promise<FetchedChunk>;

export interface FetchedChunk extends VerifiedChunk {
  /** Another process of this host has fetched it. */
  readonly isShared?: boolean;
}

/** What has been fetched. Bytes and chunks are counted once they are verified. */
export interface FetchStatistics {
  chunksVerified: number;
  bytesVerified: number;
  /** Attempts that failed: no answer, or bytes that did not verify. */
  failures: number;
}

export interface FetcherOptions {
  /** Bytes of memory for chunks, of which those on their way are a part. */
  readonly memory: number;
  /** Milliseconds until a reader gives up. */
  readonly readTimeout: number;
  /** Each chunk takes seconds, however few are under way, so begin with many at once. Default: no. */
  readonly slow?: boolean;
  /** Whether to give up on a chunk before the deadline, after an error that ended this many attempts. Default: never. */
  readonly giveUp?: (error: unknown, attempts: number) => boolean;
  readonly log: Log;
}

/** A flipped bit or a dropped connection seldom happens twice. */
const FIRST_PAUSE_MS = 50;
/** Longest pause between attempts, so that a network that comes back is noticed within a read's deadline. */
const LONGEST_PAUSE_MS = 1000;

/** A chunk on its way, for all callers that ask for it meanwhile. */
interface SharedFetch {
  readonly chunk: Promise<VerifiedChunk>;
  readonly state: FetchState;
}

interface FetchState {
  /** Until when (of performance.now()) it is retried: the last caller's deadline. */
  deadline: number;
  /** How much of it is still to come: 1 is all. */
  left: number;
  /** Rises when a reader wants it. */
  readonly urgency: Urgency;
  /** A reader waits for it already. */
  isAwaited: boolean;
}

/** For whom a chunk is fetched. */
type Asker = "reader" | "readahead" | "background";

/** What has happened that may have changed whether there is room for a chunk that nobody waits for yet (hasRoom()). */
export type FetchEvent = "arrival" | "failure";

export class FetchScheduler {
  readonly statistics: FetchStatistics = { chunksVerified: 0, bytesVerified: 0, failures: 0 };
  readonly breaker: Breaker;
  readonly #fetch: FetchChunk;
  readonly #options: FetcherOptions;
  readonly #changed: (change: FetchEvent) => void;
  readonly #underWay = new Map<string, SharedFetch>();
  /** The window of what is requested ahead. At 1, that is nothing while a reader's own chunk is on its way. */
  readonly #ahead: AdaptiveWindow;
  /** The window of #loads. */
  readonly #background: AdaptiveWindow;
  /** The most chunks that are on their way when another one was requested ahead: MOST_PREFETCHES, or SHARE_AHEAD of the memory. */
  readonly mostAhead: number;
  /** Readers that wait. */
  #readers = 0;
  /** Resolves when none of them waits any more. Made only when somebody needs to know. */
  #served: PromiseWithResolvers<void> | undefined;
  /** Background fetches that are under way. */
  #loads = 0;
  /** Background fetches that wait for their turn, in order. */
  readonly #turns: (() => void)[] = [];
  /** When (of performance.now()) the background's turn comes, if no reader waits until then. */
  #quietAt = Number.NEGATIVE_INFINITY;
  #quiet: NodeJS.Timeout | undefined;
  /** When (of performance.now()) the network last sent anything. */
  #lastArrival = Number.NEGATIVE_INFINITY;

  /** @param changed called when hasRoom() may have changed */
  constructor(fetch: FetchChunk, options: FetcherOptions, changed: (change: FetchEvent) => void) {
    this.#fetch = fetch;
    this.#changed = changed;
    this.#options = options;
    this.breaker = new Breaker(options.log);
    const { slow = false, readTimeout, memory } = options;
    const deadline = slow ? SLOW_DEADLINE_MS : readTimeout;
    const largest = (first: number, most: number, share: number) =>
      Math.max(first, Math.min(most, Math.floor((share * memory) / MAX_CHUNK_BYTES)));
    const window = (first: number, most: number) =>
      new AdaptiveWindow({ deadline, first: slow ? most : first, most });
    this.mostAhead = largest(FIRST_PREFETCHES, MOST_PREFETCHES, SHARE_AHEAD);
    this.#ahead = window(FIRST_PREFETCHES, this.mostAhead);
    this.#background = window(FIRST_LOADS, largest(FIRST_LOADS, MOST_LOADS, SHARE_BACKGROUND));
  }

  /** How many chunks are on their way. */
  get underWay(): number {
    return this.#underWay.size;
  }

  isUnderWay(key: string): boolean {
    return this.#underWay.has(key);
  }

  /** Whether there is room for a fetch that nobody waits for yet, in addition to so many that may be requested soon. */
  hasRoom(soon: number): boolean {
    if (this.#underWay.size + soon >= this.mostAhead) return false;
    let left = soon;
    for (const { state } of this.#underWay.values()) left += state.left;
    return this.#ahead.hasRoom(Math.ceil(left));
  }

  /** For a reader, who waits until `deadline` (of performance.now()). @throws Error when it cannot be fetched, never later */
  async forReader(key: string, reference: Chunk, deadline: number): Promise<VerifiedChunk> {
    this.breaker.check();
    const start = performance.now();
    this.#readers += 1;
    try {
      return await before(
        deadline,
        this.#shared(key, reference, deadline, "reader"),
        "no answer within the read timeout",
      );
    } catch (error) {
      // Giving up early has a known reason. And any answer that arrived meanwhile shows that the network is there.
      if (!this.#options.giveUp?.(error, Number.POSITIVE_INFINITY) && this.#lastArrival < start) {
        this.breaker.open(error, () => this.#attempt(reference));
      }
      throw error;
    } finally {
      this.#readers -= 1;
      if (this.#readers === 0) {
        this.#served?.resolve();
        this.#served = undefined;
      }
      this.#quietAt = performance.now() + TURN_MS;
      this.#giveTurns();
    }
  }

  /** For nobody yet. @throws Error when it cannot be fetched within the read timeout */
  ahead(key: string, reference: Chunk): Promise<VerifiedChunk> {
    return this.#shared(key, reference, performance.now() + this.#options.readTimeout, "readahead");
  }

  /**
   * For the background, which gives readers precedence.
   *
   * @param here the chunk, when a reader has fetched it before its turn came
   * @throws Error as ahead(), after waiting for a turn
   */
  async inBackground(
    key: string,
    reference: Chunk,
    here: () => VerifiedChunk | undefined,
  ): Promise<VerifiedChunk> {
    while (!this.#underWay.has(key) && !this.#isTurn()) {
      const turn = Promise.withResolvers<void>();
      this.#turns.push(turn.resolve);
      this.#giveTurns();
      await turn.promise;
      const found = here();
      if (found !== undefined) return found;
    }
    this.breaker.check();
    const start = performance.now();
    this.#loads += 1;
    try {
      const deadline = start + this.#options.readTimeout;
      const chunk = await this.#shared(key, reference, deadline, "background");
      this.#background.arrived(performance.now() - start, this.#loads);
      return chunk;
    } catch (error) {
      this.#background.failed();
      throw error;
    } finally {
      this.#loads -= 1;
      this.#giveTurns();
    }
  }

  /** Whether another background fetch may begin. */
  #isTurn(): boolean {
    const isQuiet = this.#readers === 0 && performance.now() >= this.#quietAt;
    return isQuiet && this.#background.hasRoom(this.#loads);
  }

  /** Gives turns to background fetches: now, or when no reader has waited for long enough. */
  #giveTurns(): void {
    if (this.#turns.length === 0 || this.#readers > 0 || !this.#background.hasRoom(this.#loads)) return;
    const left = this.#quietAt - performance.now();
    if (left <= 0) for (const take of this.#turns.splice(0)) take();
    else {
      this.#quiet ??= setTimeout(() => {
        this.#quiet = undefined;
        this.#giveTurns();
      }, left);
    }
  }

  /** The fetch that is under way, which goes on until the last caller's deadline, or a new one. */
  #shared(key: string, reference: Chunk, deadline: number, asker: Asker): Promise<VerifiedChunk> {
    const isUrgent = asker !== "background";
    let shared = this.#underWay.get(key);
    if (shared === undefined) {
      const state = {
        ...{ deadline, left: 1, isAwaited: false },
        urgency: new Urgency((): Promise<void> | undefined => this.#before(state)),
      };
      if (isUrgent) state.urgency.rise();
      shared = { state, chunk: this.#fetchUntil(state, key, reference) };
      this.#underWay.set(key, shared);
    }
    shared.state.deadline = Math.max(shared.state.deadline, deadline);
    if (isUrgent) shared.state.urgency.rise();
    if (asker === "reader") shared.state.isAwaited = true;
    return shared.chunk;
  }

  /**
   * What the rest of a chunk that is on its way waits for. A reader's own chunk waits for nothing. Any other lets work run that is ready.
   * While readers wait, one for the background waits until none does, up to LONGEST_REST_MS.
   */
  #before({ isAwaited, urgency }: FetchState): Promise<void> | undefined {
    if (isAwaited) return undefined;
    if (urgency.isUrgent || this.#readers === 0) return letOthers();
    this.#served ??= Promise.withResolvers();
    return Promise.race([this.#served.promise, sleep(LONGEST_REST_MS, undefined, { ref: false })]);
  }

  async #fetchUntil(state: FetchState, key: string, reference: Chunk): Promise<VerifiedChunk> {
    try {
      return await retrying(() => this.#attempt(reference, state), {
        firstPause: FIRST_PAUSE_MS,
        longestPause: LONGEST_PAUSE_MS,
        again: (error, attempts, pause) => {
          if (attempts === 1) this.#options.log.warn(`${sayWhich(reference)}: ${messageOf(error)}`);
          if (this.#options.giveUp?.(error, attempts)) return false;
          return performance.now() + pause < state.deadline;
        },
      });
    } finally {
      this.#underWay.delete(key);
      // Only after the caller has stored it where it can be found.
      setImmediate(() => this.#changed("arrival"));
    }
  }

  async #attempt(reference: Chunk, state?: FetchState): Promise<VerifiedChunk> {
    const started = performance.now();
    const arrived = () => {
      this.#lastArrival = performance.now();
      this.breaker.close();
    };
    let received = 0;
    let begun: number | undefined;
    let isPromising: boolean | undefined;
    const receive = (length: number) => {
      received += length;
      const share = Math.min(received / reference.size, 1);
      const now = performance.now();
      begun ??= now;
      const left = ((now - begun) / share) * (1 - share);
      if (isPromising === undefined && share >= TELLING_SHARE && left <= begun - started) {
        const expected = (now - started) / share;
        isPromising = this.#ahead.isQuick(TELLING_QUICKNESS * expected);
        if (isPromising) this.#ahead.arrived(expected, this.underWay, begun - started);
      }
      if (!isPromising || state === undefined) return;
      state.left = 1 - share;
      this.#changed("arrival");
    };
    let verified: FetchedChunk;
    try {
      verified = await this.#fetch(reference, arrived, receive, state?.urgency);
    } catch (error) {
      this.statistics.failures += 1;
      if (state !== undefined) state.left = 1;
      this.#ahead.failed();
      this.#changed("failure");
      // The network answers, and will always say the same about this chunk: a probe for another would succeed.
      if (this.#options.giveUp?.(error, Number.POSITIVE_INFINITY)) this.breaker.close();
      throw error;
    }
    this.#lastArrival = performance.now();
    const taken = this.#lastArrival - started;
    // The window has grown as expected.
    if (!(isPromising && this.#ahead.isQuick(taken))) {
      this.#ahead.arrived(taken, this.underWay, (begun ?? this.#lastArrival) - started);
    }
    if (!verified.isShared) {
      this.statistics.chunksVerified += 1;
      this.statistics.bytesVerified += verified.bytes.length;
    }
    this.breaker.close();
    return verified;
  }
}

function sayWhich(chunk: Chunk): string {
  return chunk.sha256 === undefined ? chunk.name : `chunk ${keyOf(chunk).slice(0, 16)}`;
}
