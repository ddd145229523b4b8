/**
 * The way of update calls that carry much to a canister: as many at a time as the link and the canister take, first come,
 * first served, and each again when it fails.
 */
import { AdaptiveWindow } from "../adaptive-window.ts";
import { patiently } from "./patience.ts";

/** How long a call may take until its answer: nine of a megabyte share the uplink, of which 80 kB/s are enough then. */
export const CALL_TIMEOUT_MS = 120_000;
/**
 * An update takes one or two seconds of consensus, in which a subnet takes in 4 MiB/s: so that the line is never idle, that
 * much is under way, and as much again, because answers do not come evenly. To begin with, what fills the line until the first
 * answer, and one less than a slow uplink can bear: that answer may be to a small call, tells nothing of the line, and lets in one
 * more.
 */
const FIRST_CALLS = 8;
export const MOST_CALLS = 16;
/**
 * Calls that begin together share the line and are answered together, and so are those that take their places: again and
 * again a round trip would pass in which nothing is sent. So there is a time between two beginnings. Until the first answer
 * it is what a subnet takes for a megabyte; then as much as spreads the calls over half the time of one.
 */
const FIRST_PACE_MS = 250;
const PACE = 1 / 2 / MOST_CALLS;
/** Bytes of the calls that this is said of; behind one that carries less, the next begins sooner. */
const USUAL_BYTES = 1024 * 1024;
/** While others arrive, one that fails is tried for longer: the network is bad, but not away. */
const PROGRESS_MS = 60_000;
/** Of the time that the quickest answer took, as much comes behind the sending at least: that may have been to a small call. */
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
  /** Milliseconds from the beginning of a usual call to the next. */
  #pace = FIRST_PACE_MS;
  /** Bytes that the last one carries. */
  #lastBytes = 0;
  #hasFailed = false;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param attempt is made until it goes well
   * @param bytes that it carries
   * @throws what the last attempt threw; AbortError after end()
   */
  send<T>(attempt: () => Promise<T>, bytes: number): Promise<T> {
    return patiently(() => this.#pass(attempt, bytes), {
      goOn: () => performance.now() - this.#lastArrival < PROGRESS_MS,
      signal: this.#ending.signal,
    });
  }

  /**
   * Resolves when nothing waits and, as answers have come so far, the last call has arrived, while its answer is still to
   * come. Never, when a call has failed or nothing can be told.
   */
  get nearEnd(): Promise<void> {
    return this.#nearEnd.promise;
  }

  /** When one has failed for good, the others that wait have no use any more: turns away whoever waits, or comes later. */
  end(): void {
    this.#ending.abort();
    // It would keep the process alive.
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
    // One that began so little before the last one: that will be answered as much later, and has arrived long before.
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

  /** Whether the next call is to wait for its time; admits it then. */
  #isTooSoon(): boolean {
    clearTimeout(this.#timer);
    const pace = this.#pace * (this.#lastBytes / USUAL_BYTES);
    const rest = this.#lastStart + pace - performance.now();
    if (rest < 1) return false;
    this.#timer = setTimeout(() => this.#admit(), rest);
    return true;
  }
}
