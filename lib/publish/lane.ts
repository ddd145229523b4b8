/**
 * The way of update calls that carry much to a canister: as many at a time as the link and the canister take, first come,
 * first served, and each again when it fails.
 */
import { AdaptiveWindow } from "../adaptive-window.ts";
import { patiently } from "./patience.ts";

/** How long a call may take until its answer: the first four share the uplink, of which 64 kB/s are enough then. */
export const CALL_TIMEOUT_MS = 120_000;
/** An update takes a second or more of consensus, so several are under way; a subnet takes in about 4 MiB/s. */
const FIRST_CALLS = 4;
export const MOST_CALLS = 8;
/** While others arrive, one that fails is tried for longer: the network is bad, but not away. */
const PROGRESS_MS = 60_000;

export class Lane {
  readonly #window = new AdaptiveWindow({ deadline: CALL_TIMEOUT_MS, first: FIRST_CALLS, most: MOST_CALLS });
  readonly #waiting: (() => void)[] = [];
  readonly #ending = new AbortController();
  #underWay = 0;
  #lastArrival = Number.NEGATIVE_INFINITY;

  /** @param attempt is made until it goes well. @throws what the last attempt threw; AbortError after end() */
  send<T>(attempt: () => Promise<T>): Promise<T> {
    return patiently(() => this.#pass(attempt), {
      goOn: () => performance.now() - this.#lastArrival < PROGRESS_MS,
      signal: this.#ending.signal,
    });
  }

  /** When one has failed for good, the others that wait have no use any more: turns away whoever waits, or comes later. */
  end(): void {
    this.#ending.abort();
    this.#admit();
  }

  async #pass<T>(attempt: () => Promise<T>): Promise<T> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      this.#admit();
    });
    const started = performance.now();
    try {
      this.#ending.signal.throwIfAborted();
      const result = await attempt();
      this.#lastArrival = performance.now();
      this.#window.arrived(this.#lastArrival - started);
      return result;
    } catch (error) {
      this.#window.failed();
      throw error;
    } finally {
      this.#underWay -= 1;
      this.#admit();
    }
  }

  #admit(): void {
    const { aborted } = this.#ending.signal;
    while (this.#waiting.length > 0 && (aborted || this.#window.hasRoom(this.#underWay))) {
      this.#underWay += 1;
      this.#waiting.shift()!();
    }
  }
}
