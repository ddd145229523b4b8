/**
 * How many transfers may be under way at once, when nobody knows what the link and the other side can take. On a fast
 * link many are needed to keep it busy; on a slow one each takes time from the others, until none arrives before its
 * deadline. So the window grows by one with each that is done quickly, and is halved by one that takes long or fails. Nor does it
 * grow where a transfer has hardly waited for its first byte: there the link, or the processor, is busy already, and one more at once
 * would only make whoever waits for his own wait longer.
 */

/** Parts of the deadline: what takes less is quick, what takes more than the second is slow. */
const QUICK = 1 / 8;
const SLOW = 1 / 4;
/** Of a transfer's time: what waits for less than that until its first byte has found the link busy. */
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

  /** Whether there is room for another, with so many under way. There always is for one alone. */
  hasRoom(underWay: number): boolean {
    return underWay < this.#size;
  }

  /** Whether a transfer that takes so many milliseconds lets the window grow. */
  isQuick(milliseconds: number): boolean {
    return milliseconds < QUICK * this.#options.deadline;
  }

  /**
   * A transfer is done. That one was quick while most of the window was empty says nothing of a full one.
   *
   * @param milliseconds that it took
   * @param underWay this one included
   * @param waited milliseconds of these until its first byte; all of them, where that is not known
   */
  arrived(milliseconds: number, underWay: number, waited = milliseconds): void {
    const { deadline, most } = this.#options;
    if (this.isQuick(milliseconds)) {
      const isIdle = waited >= LEAST_WAIT * milliseconds;
      if (isIdle && 2 * underWay >= this.#size) this.#size = Math.min(this.#size + 1, most);
    } else if (milliseconds > SLOW * deadline) this.#shrink();
  }

  /** An attempt has failed: what makes it fail may be too much at once. */
  failed(): void {
    this.#shrink();
  }

  #shrink(): void {
    this.#size = Math.max(1, Math.floor(this.#size / 2));
  }
}
