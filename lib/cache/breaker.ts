/**
 * Spares readers an outage: after one of them has missed its deadline, the others fail at once, until a probe
 * gets through. A TFTP server that reads with blocking calls would otherwise stop for a whole deadline at every attempt of
 * every client, and answer neither DHCP nor DNS meanwhile.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";

/** Soon enough to notice that an outage was short. */
const FIRST_PAUSE_MS = 1000;
/** Clients try again for a minute or so: the network's return must not be missed by much. */
const LONGEST_PAUSE_MS = 5000;

export class Breaker {
  readonly #log: Log;
  #openSince: Date | undefined;
  /** Of performance.now(): the clock may be set meanwhile. */
  #opened = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Since when readers fail at once; undefined when they do not. */
  get openSince(): Date | undefined {
    return this.#openSince;
  }

  /** @throws Error when it is open */
  check(): void {
    if (this.#openSince === undefined) return;
    throw new Error(`the network has not answered since ${this.#openSince.toISOString()}`);
  }

  /**
   * A reader has missed its deadline. Those that wait already have their own deadlines.
   *
   * @param probe asks the network for something, and rejects when it does not arrive. Report everything that arrives, from the
   *   probe or otherwise, by calling `close`
   */
  open(error: unknown, probe: () => Promise<unknown>): void {
    if (this.#openSince !== undefined) return;
    this.#openSince = new Date();
    this.#opened = performance.now();
    this.#log.warn(
      `the network does not answer (${messageOf(error)}): reads of what is not cached fail at once`,
    );
    void this.#probe(probe);
  }

  /** Something that verifies has arrived. */
  close(): void {
    if (this.#openSince === undefined) return;
    const seconds = (performance.now() - this.#opened) / 1000;
    this.#openSince = undefined;
    this.#log.info(`the network answers again, after ${seconds.toFixed(1)} s`);
  }

  async #probe(probe: () => Promise<unknown>): Promise<void> {
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      // Does not keep the process alive.
      await sleep(pause * (0.75 + Math.random() / 2), undefined, { ref: false });
      if (this.#openSince === undefined) return;
      await probe().catch(() => {});
    }
  }
}
