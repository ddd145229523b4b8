/**
 * Chunks from the network: one fetch for all who ask for the same one, tried again until the last asker's deadline, and a
 * breaker (breaker.ts) that spares them an outage. Bytes come verified (lib/source), or not at all.
 */
import { AdaptiveWindow } from "../adaptive-window.ts";
import { before } from "../deadline.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import {
  FIRST_LOADS,
  FIRST_PREFETCHES,
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
  /** Each chunk takes seconds, however few are under way: many are to be, from the start. Default: no. */
  readonly slow?: boolean;
  /** Whether to give up on a chunk earlier than that, after an error that ended so many attempts. Default: never. */
  readonly giveUp?: (error: unknown, attempts: number) => boolean;
  readonly log: Log;
}

/** A flipped bit or a dropped connection is seldom there twice. */
const FIRST_PAUSE_MS = 50;
/** Longest pause between attempts, so that a network that comes back is noticed within a read's deadline. */
const LONGEST_PAUSE_MS = 1000;

/** A chunk on its way, for all who ask for it meanwhile. */
interface SharedFetch {
  readonly chunk: Promise<VerifiedChunk>;
  readonly state: FetchState;
}

interface FetchState {
  /** Until when (of performance.now()) it is tried again: the last asker's deadline. */
  deadline: number;
  /** What is still to come of it: 1 is all. */
  left: number;
  /** Rises when it is wanted for more than the background. */
  readonly urgency: Urgency;
}

/** What may make room for a chunk that nobody waits for yet. */
export type FetchEvent = "arrival" | "failure";

export class FetchScheduler {
  readonly statistics: FetchStatistics = { chunksVerified: 0, bytesVerified: 0, failures: 0 };
  readonly breaker: Breaker;
  readonly #fetch: FetchChunk;
  readonly #options: FetcherOptions;
  readonly #changed: (change: FetchEvent) => void;
  readonly #underWay = new Map<string, SharedFetch>();
  /** At 1, nothing is asked for ahead while a reader's own chunk is on its way. */
  readonly #ahead: AdaptiveWindow;
  readonly #background: AdaptiveWindow;
  /** Chunks on their way, when more are asked for ahead: their memory is taken from the start. */
  readonly mostAhead: number;
  #readers = 0;
  #loads = 0;
  /** Those who wait for a turn in the background, in order. */
  readonly #turns: (() => void)[] = [];
  /** When (of performance.now()) the background's turn comes, if no reader waits until then. */
  #quietAt = Number.NEGATIVE_INFINITY;
  #quiet: NodeJS.Timeout | undefined;
  /** When (of performance.now()) the network last gave anything. */
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

  /** Whether something may be asked for that nobody waits for yet, beside so many that may be asked for soon. */
  hasRoom(soon: number): boolean {
    if (this.#underWay.size + soon >= this.mostAhead) return false;
    let left = soon;
    for (const { state } of this.#underWay.values()) left += state.left;
    return this.#ahead.hasRoom(Math.ceil(left));
  }

  /** For a reader, who waits until `deadline` (of performance.now()). @throws Error when it cannot be had, never later */
  async forReader(key: string, reference: Chunk, deadline: number): Promise<VerifiedChunk> {
    this.breaker.check();
    const start = performance.now();
    this.#readers += 1;
    try {
      return await before(
        deadline,
        this.#shared(key, reference, deadline, true),
        "no answer within the read timeout",
      );
    } catch (error) {
      // Whoever gives up early knows what is wrong. And an answer that came meanwhile, to whomever, shows a network.
      if (!this.#options.giveUp?.(error, Number.POSITIVE_INFINITY) && this.#lastArrival < start) {
        this.breaker.open(error, () => this.#attempt(reference));
      }
      throw error;
    } finally {
      this.#readers -= 1;
      this.#quietAt = performance.now() + TURN_MS;
      this.#giveTurns();
    }
  }

  /** For nobody yet. @throws Error when it cannot be had within the read timeout */
  ahead(key: string, reference: Chunk): Promise<VerifiedChunk> {
    return this.#shared(key, reference, performance.now() + this.#options.readTimeout, true);
  }

  /**
   * For the background, which lets readers go first.
   *
   * @param here the chunk, when a reader has got it before its turn came
   * @throws Error as ahead(), which it may have to wait for a turn for
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
      const chunk = await this.#shared(key, reference, deadline, false);
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

  /** Whether another one for the background may be asked for. */
  #isTurn(): boolean {
    const isQuiet = this.#readers === 0 && performance.now() >= this.#quietAt;
    return isQuiet && this.#background.hasRoom(this.#loads);
  }

  /** All who wait for a turn look whether it has come: now, or when no reader has waited for long enough. */
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

  /** The fetch that is under way, which goes on until the last asker's deadline, or a new one. */
  #shared(key: string, reference: Chunk, deadline: number, isUrgent: boolean): Promise<VerifiedChunk> {
    let shared = this.#underWay.get(key);
    if (shared === undefined) {
      const state = { deadline, left: 1, urgency: new Urgency() };
      if (isUrgent) state.urgency.rise();
      shared = { state, chunk: this.#fetchUntil(state, key, reference) };
      this.#underWay.set(key, shared);
    }
    shared.state.deadline = Math.max(shared.state.deadline, deadline);
    if (isUrgent) shared.state.urgency.rise();
    return shared.chunk;
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
      // When whoever has waited for it has put it where it is found.
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
      // The network has answered, and will always say the same of this chunk: a probe for another would go through.
      if (this.#options.giveUp?.(error, Number.POSITIVE_INFINITY)) this.breaker.close();
      throw error;
    }
    this.#lastArrival = performance.now();
    const taken = this.#lastArrival - started;
    // The window has grown by what was expected of it.
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
