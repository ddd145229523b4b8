/**
 * Whether a mirror has the chunks that it is asked for. A mirror that is only incomplete (somebody is copying its files) has some of them,
 * and is asked for all. A mirror that lacks many in a row, because it belongs to another canister or cannot reach its origin, would cost a
 * round trip for each chunk. So it is asked for chunks after all others, for a second, then two, up to a minute.
 */

/** Missing chunks in a row. */
const MOST_MISSES = 8;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;

export class Absence {
  #misses = 0;
  #pause = FIRST_PAUSE_MS;
  /** Of performance.now(). */
  #until = Number.NEGATIVE_INFINITY;

  /** Milliseconds for which the mirror is still asked last. 0: it is not. */
  get left(): number {
    return Math.max(0, this.#until - performance.now());
  }

  /** Reports that the mirror does not have a chunk. @returns whether it is asked last from now on, and was not before */
  missing(): boolean {
    this.#misses += 1;
    if (this.#misses < MOST_MISSES || this.left > 0) return false;
    this.#until = performance.now() + this.#pause;
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
    return true;
  }

  /** Reports that the mirror has sent a chunk. */
  over(): void {
    this.#misses = 0;
    this.#pause = FIRST_PAUSE_MS;
    this.#until = Number.NEGATIVE_INFINITY;
  }
}
