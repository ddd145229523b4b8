/**
 * How many chunks may be on their way while more are asked for ahead of readers. On a fast link many are needed to keep
 * it busy; on a slow one each takes time from the chunk that a reader is waiting for, until none arrives before its
 * deadline. So the window grows by one with each chunk that comes quickly, and is halved by one that takes long.
 */

/** Enough to fill a first round trip, and at 1 MiB/s still in time for the first reader. */
const FIRST_SIZE = 4;
/** 16 MiB on their way: more than a link of 100 MiB/s holds in 100 ms, and few enough for a gateway's rate limit. */
const MAX_SIZE = 16;
/** Parts of the read timeout: a chunk that takes less is quick, one that takes more than the second is slow. */
const QUICK = 1 / 8;
const SLOW = 1 / 4;

export class PrefetchWindow {
  readonly #readTimeout: number;
  /** At 1, nothing is asked for ahead while a reader's own chunk is on its way. */
  #size = FIRST_SIZE;

  /** @param readTimeout milliseconds until a read gives up */
  constructor(readTimeout: number) {
    this.#readTimeout = readTimeout;
  }

  /** Whether there is room for another, with so many on their way. */
  hasRoom(underWay: number): boolean {
    return underWay < this.#size;
  }

  /** A chunk has arrived. @param milliseconds since it was asked for */
  arrived(milliseconds: number): void {
    if (milliseconds < QUICK * this.#readTimeout) this.#size = Math.min(this.#size + 1, MAX_SIZE);
    else if (milliseconds > SLOW * this.#readTimeout) this.#shrink();
  }

  /** An attempt has failed: what makes it fail may be too much at once. */
  failed(): void {
    this.#shrink();
  }

  #shrink(): void {
    this.#size = Math.max(1, Math.floor(this.#size / 2));
  }
}
