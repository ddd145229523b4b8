/** Decides when to check for changes: periodically, and on request. */

/** The share of a period by which each is longer or shorter, at random. */
const JITTER = 0.1;

export class CheckSchedule {
  readonly #refresh: number;
  #isOver = false;
  /** Whether a check was requested. */
  #requested = false;
  #wake: () => void = () => {};

  /** @param refresh milliseconds between two checks; 0: only on request */
  constructor(refresh: number) {
    this.#refresh = refresh;
  }

  /** Runs until end(). @param check performs a check; told whether it was requested; never rejects */
  async run(check: (requested: boolean) => Promise<void>): Promise<void> {
    // The first check is anywhere in a period, so that a hundred hosts that were switched on together do not ask together for ever.
    let share = Math.random();
    while (!this.#isOver) {
      await this.#pause(share);
      const requested = this.#requested;
      this.#requested = false;
      if (!this.#isOver) await check(requested);
      share = 1 - JITTER + 2 * JITTER * Math.random();
    }
  }

  /** Requests a check as soon as the current one is over. */
  now(): void {
    this.#requested = true;
    this.#wake();
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  /** @param share of the time between two checks */
  async #pause(share: number): Promise<void> {
    if (this.#requested) return;
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    if (this.#refresh === 0) return woken.promise;
    const timer = setTimeout(woken.resolve, share * this.#refresh);
    await woken.promise;
    clearTimeout(timer);
  }
}
