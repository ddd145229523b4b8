/**
 * Sends large update calls to a canister: as many at a time as the link and the canister can take, first come, first served.
 * Failed calls are repeated.
 */
import { AdaptiveWindow } from "../adaptive-window.ts";
import { patiently } from "./patience.ts";

/** How long a call may take until its answer. Nine calls of a megabyte share the uplink, so 80 kB/s are enough. */
export const CALL_TIMEOUT_MS = 120_000;
/**
 * An update takes one or two seconds of consensus, in which a subnet accepts 4 MiB/s. To keep the line busy, that much is under
 * way, and as much again, because answers arrive unevenly. At first, this many calls fill the line until the first answer. That
 * is one less than a slow uplink can bear: the first answer may be to a small call, which says nothing about the line but admits
 * one more.
 */
const FIRST_CALLS = 8;
export const MOST_CALLS = 16;
/**
 * Calls that start together share the line and are answered together, as are the calls that replace them, so that again and again
 * nothing would be sent for a round trip. Therefore calls start at intervals. Until the first answer the interval is the time a
 * subnet takes for a megabyte; then it spreads the calls over half the time of one.
 */
const FIRST_PACE_MS = 250;
const PACE = 1 / 2 / MOST_CALLS;
/** The call size that these times refer to. After a smaller call, the next one starts sooner. */
const USUAL_BYTES = 1024 * 1024;
/** While other calls succeed, a failing one is repeated for longer: the network is bad, but not gone. */
const PROGRESS_MS = 60_000;
/** The least share of the quickest call's time that follows its sending. That call may have been small. */
const BEHIND_SENDING = 0.85;

export class Lane {
  readonly #window = new AdaptiveWindow({ deadline: CALL_TIMEOUT_MS, first: FIRST_CALLS, most: MOST_CALLS });
  readonly #waiting: { readonly bytes: number; readonly go: () => void }[] = [];
  readonly #ending = new AbortController();
  readonly #nearEnd = Promise.withResolvers<void>();
  #underWay = 0;
  #lastStart = Number.NEGATIVE_INFINITY;
  #lastArrival = Number.NEGATIVE_INFINITY;
  /** Milliseconds that the quickest call took. */
  #least = Number.POSITIVE_INFINITY;
  /** Milliseconds between the start of a usual call and the next. */
  #pace = FIRST_PACE_MS;
  /** Bytes in the last call. */
  #lastBytes = 0;
  #hasFailed = false;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param attempt repeated until it succeeds
   * @param bytes the size of the call
   * @throws the error of the last attempt; AbortError after end()
   */
  send<T>(attempt: () => Promise<T>, bytes: number): Promise<T> {
    return patiently(() => this.#pass(attempt, bytes), {
      goOn: () => performance.now() - this.#lastArrival < PROGRESS_MS,
      signal: this.#ending.signal,
    });
  }

  /**
   * Resolves when nothing is waiting and the last call has probably arrived, judging by earlier answers, before its own answer
   * comes. Never resolves after a call has failed, or when this cannot be told.
   */
  get nearEnd(): Promise<void> {
    return this.#nearEnd.promise;
  }

  /** Rejects all waiting and later calls, which are useless once one has failed for good. */
  end(): void {
    this.#ending.abort();
    // The timer would keep the process alive.
    clearTimeout(this.#timer);
    this.#admit();
  }

  async #pass<T>(attempt: () => Promise<T>, bytes: number): Promise<T> {
    await new Promise<void>((go) => {
      this.#waiting.push({ bytes, go });
      this.#admit();
    });
    const started = performance.now();
    try {
      this.#ending.signal.throwIfAborted();
      const result = await attempt();
      this.#arrived(performance.now(), started);
      return result;
    } catch (error) {
      this.#hasFailed = true;
      this.#window.failed();
      throw error;
    } finally {
      this.#underWay -= 1;
      this.#admit();
    }
  }

  #arrived(now: number, started: number): void {
    const taken = now - started;
    this.#window.arrived(taken, this.#underWay);
    this.#pace = Math.min(FIRST_PACE_MS, PACE * taken);
    this.#lastArrival = now;
    this.#least = Math.min(this.#least, taken);
    // The last call started so soon after this one that it must have arrived by now.
    const isNear = this.#lastStart - started <= BEHIND_SENDING * this.#least;
    const isLeft = this.#waiting.length === 0 && this.#underWay > 1;
    if (isNear && isLeft && !this.#hasFailed) this.#nearEnd.resolve();
  }

  #admit(): void {
    const { aborted } = this.#ending.signal;
    while (this.#waiting.length > 0 && (aborted || this.#window.hasRoom(this.#underWay))) {
      if (!aborted && this.#isTooSoon()) return;
      this.#underWay += 1;
      this.#lastStart = performance.now();
      const { bytes, go } = this.#waiting.shift()!;
      this.#lastBytes = bytes;
      go();
    }
  }

  /** Whether it is too early for the next call. If so, a timer admits it. */
  #isTooSoon(): boolean {
    clearTimeout(this.#timer);
    const pace = this.#pace * (this.#lastBytes / USUAL_BYTES);
    const rest = this.#lastStart + pace - performance.now();
    if (rest < 1) return false;
    this.#timer = setTimeout(() => this.#admit(), rest);
    return true;
  }
}
