/**
 * How many transfers may be under way at once, when the capacity of the link and the other side is unknown. A fast
 * link needs many to stay busy; on a slow one, each takes time from the others, until none arrives before its
 * deadline. So the window grows by one with each quick transfer, and is halved by one that is slow or fails. It does not
 * grow if a transfer has hardly waited for its first byte: then the link, or the processor, is busy already, and another transfer
 * would only make readers wait longer for their own.
 */

/** Shares of the deadline: a transfer below the first is quick, above the second it is slow. */
const QUICK = 1 / 8;
const SLOW = 1 / 4;
/** Share of a transfer's time: if the first byte arrives sooner, the link was busy. */
const LEAST_WAIT = 1 / 8;

export interface WindowOptions {
  /** Milliseconds after which a transfer has failed. */
  readonly deadline: number;
  /** Transfers at once, to begin with. */
  readonly first: number;
  /** Never more than this. */
  readonly most: number;
}

export class AdaptiveWindow {
  readonly #options: WindowOptions;
  #size: number;

  constructor(options: WindowOptions) {
    this.#options = options;
    this.#size = options.first;
  }

  /** Whether there is room for another transfer beside those under way. There always is room for one. */
  hasRoom(underWay: number): boolean {
    return underWay < this.#size;
  }

  /** Whether a transfer that takes this many milliseconds is quick. */
  isQuick(milliseconds: number): boolean {
    return milliseconds < QUICK * this.#options.deadline;
  }

  /**
   * Reports that a transfer is done. A quick one lets the window grow, unless the window was mostly empty, which says nothing about a full
   * one.
   *
   * @param milliseconds what the transfer took
   * @param underWay the number of transfers under way, including this one
   * @param waited the part of `milliseconds` before the first byte; default: all of it
   */
  arrived(milliseconds: number, underWay: number, waited = milliseconds): void {
    const { deadline, most } = this.#options;
    if (this.isQuick(milliseconds)) {
      const isIdle = waited >= LEAST_WAIT * milliseconds;
      if (isIdle && 2 * underWay >= this.#size) this.#size = Math.min(this.#size + 1, most);
    } else if (milliseconds > SLOW * deadline) this.#shrink();
  }

  /** Reports that a transfer has failed, perhaps because there were too many at once. */
  failed(): void {
    this.#shrink();
  }

  #shrink(): void {
    this.#size = Math.max(1, Math.floor(this.#size / 2));
  }
}
