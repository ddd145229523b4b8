/** Whether somebody waits for what is being fetched. As long as nobody does, it may take its time. */

/** What nobody waits for may stay silent for so many times as long as what somebody waits for. */
export const LEISURE_TIMES = 24;

export class Urgency {
  #isUrgent = false;
  readonly #told = new Set<() => void>();

  get isUrgent(): boolean {
    return this.#isUrgent;
  }

  /** Somebody waits from now on. */
  rise(): void {
    this.#isUrgent = true;
    const told = [...this.#told];
    this.#told.clear();
    for (const run of told) run();
  }

  /** Calls back once when somebody waits, if nobody does yet. @returns takes that back */
  whenUrgent(run: () => void): () => void {
    if (!this.#isUrgent) this.#told.add(run);
    return () => void this.#told.delete(run);
  }
}
