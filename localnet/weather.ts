/**
 * Makes a network on this machine behave like a distant one: latency, bandwidth, and the time of consensus.
 */
import { setTimeout as sleep } from "node:timers/promises";

export interface WeatherOptions {
  /** Milliseconds added to the round trip of each request. */
  latency: number;
  /** MiB per second that all replies share, and all uploads; Infinity: no limit. */
  bandwidth: number;
  /** Additional milliseconds before an update call runs. */
  updateLatency: number;
}

/** Small enough that parallel replies share the bandwidth, large enough that timers do not limit it. */
const PIECE_BYTES = 64 * 1024;
/** The resolution of timers: anything due sooner is sent at once. */
const TIMER_MS = 1;

/** A line with a fixed bandwidth, which carries one piece after the other. */
class Line {
  readonly #bytesPerMs: number;
  #freeAt = 0;

  constructor(mebibytesPerSecond: number) {
    this.#bytesPerMs = (mebibytesPerSecond * 1024 * 1024) / 1000;
  }

  /** Occupies the line for this many bytes; returns the milliseconds until they have passed. */
  reserve(bytes: number): number {
    const now = performance.now();
    this.#freeAt = Math.max(this.#freeAt, now) + bytes / this.#bytesPerMs;
    return this.#freeAt - now;
  }
}

export class Weather {
  readonly #options: WeatherOptions;
  readonly #down: Line;
  readonly #up: Line;
  readonly #closing = new AbortController();

  constructor(options: WeatherOptions) {
    this.#options = options;
    this.#down = new Line(options.bandwidth);
    this.#up = new Line(options.bandwidth);
  }

  /** The latency of one direction: half of the round trip. */
  oneWay(): Promise<void> {
    return this.#wait(this.#options.latency / 2);
  }

  /** The time an update call takes before it runs. */
  consensus(): Promise<void> {
    return this.#wait(this.#options.updateLatency);
  }

  /** Yields the pieces of an incoming body as fast as the line carries them; a slow reader slows its sender down. */
  async *upload(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of body) {
      await this.#wait(this.#up.reserve(piece.length));
      yield piece;
    }
  }

  /** Yields the pieces of a reply, each when the line has carried it. */
  async *download(body: Uint8Array): AsyncGenerator<Uint8Array> {
    if (this.#options.bandwidth === Number.POSITIVE_INFINITY) {
      yield body;
      return;
    }
    for (let at = 0; at < body.length; at += PIECE_BYTES) {
      const piece = body.subarray(at, at + PIECE_BYTES);
      await this.#wait(this.#down.reserve(piece.length));
      yield piece;
    }
  }

  /** Ends all waiting, with an error for each request that waits. */
  close(): void {
    this.#closing.abort();
  }

  async #wait(milliseconds: number): Promise<void> {
    if (milliseconds >= TIMER_MS) await sleep(milliseconds, undefined, { signal: this.#closing.signal });
  }
}
