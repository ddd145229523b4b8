/** Runs a canister without a call: its global timer and its heartbeat. */

/** The IC runs heartbeats once a round; a round of a busy subnet takes about this long. */
const HEARTBEAT_INTERVAL_MS = 1000;
/** setTimeout's longest delay; a later timer is checked again then. */
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

  /** Stops the old module's timer and heartbeat, and starts the new module's heartbeat if it has one. */
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
