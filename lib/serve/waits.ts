/**
 * Requests that wait for something on its way: a chunk of a release that is being fetched, or whatever comes before the first
 * chunk. Each one holds only its connection. Their number and their time are bounded.
 */
import type { EventEmitter } from "node:events";

/**
 * The number of connections that may wait (server.ts has the total). The others are for requests that can be answered at once.
 */
const MOST_WAITING = 1500;
/**
 * Milliseconds: less than half of a reader's deadline (--read-timeout, 10 s), after which it asks the network as well and avoids
 * this host (lib/source/icfs/mirrors.ts). Readers also send a share of their requests elsewhere after two seconds of silence. If
 * every reader were told by then that a chunk is not here, every one would ask the network, and fetch the chunk over the same
 * slow line.
 */
const WAIT_MS = 4500;

export interface WaitsOptions {
  /** How many may wait at a time. */
  readonly most: number;
  /** The longest wait in milliseconds. */
  readonly limit: number;
}

type Emitter = Pick<EventEmitter, "once" | "off">;

/** A waiting answer, which emits "close" when its client disconnects. */
export interface Waiting extends Emitter {
  readonly req?: { readonly socket: Emitter & { readonly readableEnded: boolean } };
}

export class Waits {
  readonly #options: WaitsOptions;
  /** The functions that end each wait, by what it waits for. */
  readonly #waiting = new Map<string, Set<() => void>>();
  #count = 0;
  #isOver = false;

  constructor(options: WaitsOptions = { most: MOST_WAITING, limit: WAIT_MS }) {
    this.#options = options;
  }

  /** The number of waiting requests. */
  get count(): number {
    return this.#count;
  }

  /** Whether any request waits for this. */
  has(what: string): boolean {
    return this.#waiting.has(what);
  }

  /**
   * Resolves when it has come (came()), when it takes too long, or when the client disconnects; at once when too many are
   * waiting. A client that has closed its sending side looks the same as one that has gone, so neither waits.
   */
  async until(what: string, response: Waiting): Promise<void> {
    const socket = response.req?.socket;
    if (this.#isOver || this.#count >= this.#options.most || socket?.readableEnded) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const others = this.#waiting.get(what) ?? new Set();
    this.#waiting.set(what, others.add(resolve));
    this.#count += 1;
    const timer = setTimeout(resolve, this.#options.limit);
    response.once("close", resolve);
    socket?.once("end", resolve);
    await promise;
    clearTimeout(timer);
    response.off("close", resolve);
    socket?.off("end", resolve);
    this.#count -= 1;
    others.delete(resolve);
    if (others.size === 0) this.#waiting.delete(what);
  }

  /** Ends every wait for this: it is here, or will not come. */
  came(what: string): void {
    for (const resolve of this.#waiting.get(what) ?? []) resolve();
  }

  /** Ends all waits, and allows no more. */
  end(): void {
    this.#isOver = true;
    for (const what of this.#waiting.keys()) this.came(what);
  }
}
