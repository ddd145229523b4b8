/**
 * Tells when no boot is under way: some time after the last file was closed. A switch in the middle of a boot would give a
 * machine the kernel of one release and the initrd of the next. A machine may take a minute for its kernel, and the server reads
 * an open file from the kernel's page cache: the only sign is that the file is open.
 */
import { setTimeout as sleep } from "node:timers/promises";

/** Time, in milliseconds. */
export interface Clock {
  now(): number;
  /** @throws AbortError */
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
}

const THIS_HOSTS: Clock = {
  now: () => performance.now(),
  sleep: (milliseconds, signal) => sleep(milliseconds, undefined, { signal }),
};

/** Milliseconds within which somebody who looks up a file opens it. That takes the kernel much less, unless this host is busy. */
const OPENING_MS = 20;

export class Quiet {
  readonly #length: number;
  readonly #longestWait: number;
  readonly #clock: Clock;
  #open = 0;
  /** When a file was last opened or closed. */
  #lastUse = Number.NEGATIVE_INFINITY;
  #lastLookup = Number.NEGATIVE_INFINITY;

  /**
   * @param length milliseconds without an open file that count as quiet; 0: it is always quiet
   * @param longestWait milliseconds: a rack that never stops booting must not keep its release for ever
   */
  constructor(length: number, longestWait: number, clock = THIS_HOSTS) {
    this.#length = length;
    this.#longestWait = longestWait;
    this.#clock = clock;
  }

  /** A file was opened. */
  opened(): void {
    this.#open += 1;
    this.#lastUse = this.#clock.now();
  }

  /** A name was looked up. If that was to open it, what is opened is already chosen. */
  lookedUp(): void {
    this.#lastLookup = this.#clock.now();
  }

  /** A file was closed, or could not be opened. */
  closed(): void {
    this.#open -= 1;
    this.#lastUse = this.#clock.now();
  }

  /**
   * Resolves when it is quiet, or when the longest wait since `start` (by performance.now()) is over, to which of the two it was
   * and how many milliseconds have passed.
   *
   * @throws AbortError
   */
  async wait(start: number, signal: AbortSignal): Promise<{ quiet: boolean; waited: number }> {
    for (;;) {
      const now = this.#clock.now();
      const left = this.#left(now);
      const waited = now - start;
      if (left <= 0 || waited >= this.#longestWait) return { quiet: left <= 0, waited };
      await this.#clock.sleep(Math.min(left, this.#longestWait - waited), signal);
    }
  }

  /** Whether it is quiet now. */
  get isQuiet(): boolean {
    return this.#left(this.#clock.now()) <= 0;
  }

  /** The least time until it is quiet, in milliseconds. */
  #left(now: number): number {
    if (this.#length === 0) return 0;
    if (this.#open > 0) return this.#length;
    return Math.max(this.#lastUse + this.#length, this.#lastLookup + OPENING_MS) - now;
  }
}
