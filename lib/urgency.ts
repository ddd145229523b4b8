/** Whether somebody waits for a fetch. As long as nobody does, it may take its time. */

/** How many times as long a fetch may be silent while no reader waits for it. */
export const LEISURE_TIMES = 24;

export class Urgency {
  #isUrgent = false;
  readonly #told = new Set<() => void>();
  /** Called while the fetch is under way: returns what to wait for before going on, if others go first. */
  readonly others: () => Promise<void> | undefined;

  constructor(others: Urgency["others"] = () => undefined) {
    this.others = others;
  }

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

  /** Calls `run` once, when somebody begins to wait; never, if somebody waits already. @returns a function that cancels this */
  whenUrgent(run: () => void): () => void {
    if (!this.#isUrgent) this.#told.add(run);
    return () => void this.#told.delete(run);
  }
}
