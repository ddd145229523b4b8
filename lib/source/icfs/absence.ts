/**
 * Whether a mirror has what it is asked for. One that is only incomplete (somebody is copying its files) has some of the chunks, and is asked
 * for all. One that has had none for a while, as it is another canister's or has no way to its origin, would cost a round trip for each: it is
 * asked for chunks after all others, for a second, then two, up to a minute.
 */

/** Chunks in a row that it has not got. */
const MOST_MISSES = 8;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;

export class Absence {
  #misses = 0;
  #pause = FIRST_PAUSE_MS;
  /** Of performance.now(). */
  #until = Number.NEGATIVE_INFINITY;

  /** Milliseconds for which it is still asked last. 0: it is not. */
  get left(): number {
    return Math.max(0, this.#until - performance.now());
  }

  /** It has not got a chunk. @returns whether it is asked last from now on, and was not before */
  missing(): boolean {
    this.#misses += 1;
    if (this.#misses < MOST_MISSES || this.left > 0) return false;
    this.#until = performance.now() + this.#pause;
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
    return true;
  }

  /** It has brought one. */
  over(): void {
    this.#misses = 0;
    this.#pause = FIRST_PAUSE_MS;
    this.#until = Number.NEGATIVE_INFINITY;
  }
}
