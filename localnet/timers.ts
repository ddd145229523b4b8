/**
 * What makes a canister run without being called: its global timer and its heartbeat.
 */

/** The IC beats once a round; a round of a busy subnet takes about this long. */
const HEARTBEAT_INTERVAL_MS = 1000;
/** setTimeout's longest delay; a timer beyond it is looked at again then. */
const MAX_DELAY_MS = 2 ** 31 - 1;

export class CanisterTimers {
  readonly #now: () => bigint;
  readonly #run: (entry: "global_timer" | "heartbeat") => void;
  #globalTimer = 0n;
  #timer: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;

  /**
   * @param now nanoseconds since 1970
   * @param run runs an entry point of the canister
   */
  constructor(now: () => bigint, run: (entry: "global_timer" | "heartbeat") => void) {
    this.#now = now;
    this.#run = run;
  }

  /** When the global timer is due, in nanoseconds since 1970; 0: it is not set. */
  get globalTimer(): bigint {
    return this.#globalTimer;
  }

  set globalTimer(timestamp: bigint) {
    this.#globalTimer = timestamp;
    clearTimeout(this.#timer);
    if (timestamp === 0n) return;
    const delay = Number(timestamp - this.#now()) / 1e6;
    this.#timer = setTimeout(() => this.#due(), Math.min(Math.max(delay, 0), MAX_DELAY_MS)).unref();
  }

  /** Stops what was running for the old module, and starts the heart if the new one has any. */
  reset(hasHeartbeat: boolean): void {
    this.globalTimer = 0n;
    clearInterval(this.#heartbeat);
    if (!hasHeartbeat) return;
    this.#heartbeat = setInterval(() => this.#run("heartbeat"), HEARTBEAT_INTERVAL_MS).unref();
  }

  #due(): void {
    if (this.#globalTimer > this.#now()) {
      this.globalTimer = this.#globalTimer;
      return;
    }
    this.#globalTimer = 0n;
    this.#run("global_timer");
  }
}
