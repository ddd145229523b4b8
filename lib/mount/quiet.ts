/**
 * When no boot is under way: some time after the last file was opened. A release that is switched in the middle of a boot
 * would give it the kernel of one and the initrd of the next.
 */
import { setTimeout as sleep } from "node:timers/promises";

export class Quiet {
  readonly #length: number;
  readonly #longestWait: number;
  #lastOpen = Number.NEGATIVE_INFINITY;

  /**
   * @param length milliseconds without an open that make it quiet
   * @param longestWait milliseconds: a rack that never stops booting must not keep its release for ever
   */
  constructor(length: number, longestWait: number) {
    this.#length = length;
    this.#longestWait = longestWait;
  }

  /** A file was opened. */
  disturb(): void {
    this.#lastOpen = performance.now();
  }

  /**
   * Resolves when it is quiet, at the latest the longest wait after `start` (of performance.now()): whether it is, and how
   * many milliseconds have passed since.
   * @throws AbortError
   */
  async wait(start: number, signal: AbortSignal): Promise<{ quiet: boolean; waited: number }> {
    for (;;) {
      const now = performance.now();
      const left = this.#lastOpen + this.#length - now;
      const waited = now - start;
      if (left <= 0 || waited >= this.#longestWait) return { quiet: left <= 0, waited };
      await sleep(Math.min(left, this.#longestWait - waited), undefined, { signal });
    }
  }
}
