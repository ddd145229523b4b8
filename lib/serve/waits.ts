/**
 * Requests that wait for what is on its way: a chunk of a release that is being fetched, or all that comes before the first chunk. Each holds
 * its connection and nothing else. They are bounded in number and in time.
 */
import type { EventEmitter } from "node:events";

/** Of the connections that a host takes (server.ts): the others are for requests that can be answered at once. */
const MOST_WAITING = 1500;
/**
 * Milliseconds: less than half of a reader's deadline (--read-timeout, 10 s), after which it asks the network as well, and puts this host aside
 * (lib/source/icfs/mirrors.ts). Readers have a share of their questions overtaken after two seconds of silence. If all were told by then that a
 * chunk is not here, all would ask the network: over a slow line that is what they wait for, once for each.
 */
const WAIT_MS = 4500;

export interface WaitsOptions {
  /** How many may wait at a time. */
  readonly most: number;
  /** Milliseconds that each waits at most. */
  readonly limit: number;
}

export class Waits {
  readonly #options: WaitsOptions;
  /** By what they wait for: what ends the wait of each. */
  readonly #waiting = new Map<string, Set<() => void>>();
  #count = 0;
  #isOver = false;

  constructor(options: WaitsOptions = { most: MOST_WAITING, limit: WAIT_MS }) {
    this.#options = options;
  }

  /** How many wait now. */
  get count(): number {
    return this.#count;
  }

  /** Whether anybody waits for this. */
  has(what: string): boolean {
    return this.#waiting.has(what);
  }

  /**
   * Resolves when it has come (came()), when it takes too long, or when the client has gone; at once when there are too many who wait.
   *
   * @param response emits "close" when its client goes
   */
  async until(what: string, response: Pick<EventEmitter, "once" | "off">): Promise<void> {
    if (this.#isOver || this.#count >= this.#options.most) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const others = this.#waiting.get(what) ?? new Set();
    this.#waiting.set(what, others.add(resolve));
    this.#count += 1;
    const timer = setTimeout(resolve, this.#options.limit);
    response.once("close", resolve);
    await promise;
    clearTimeout(timer);
    response.off("close", resolve);
    this.#count -= 1;
    others.delete(resolve);
    if (others.size === 0) this.#waiting.delete(what);
  }

  /** Ends the wait of all who wait for this: it is here, or will not come. */
  came(what: string): void {
    for (const resolve of this.#waiting.get(what) ?? []) resolve();
  }

  /** Ends all waits. Nobody waits from then on. */
  end(): void {
    this.#isOver = true;
    for (const what of this.#waiting.keys()) this.came(what);
  }
}
