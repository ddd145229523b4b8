/**
 * Serves requests for chunks of a release that is still being fetched. Each chunk is fetched anyway, and only once: a request
 * only moves it forward.
 */
import pLimit from "p-limit";
import { type Chunk, keyOf } from "../tree/tree.ts";
import type { Waiting, Waits } from "./waits.ts";

/** How many chunks are fetched early at a time. The next ones may meanwhile arrive with the others. */
const MOST_EARLY = 8;

export class AwaitedChunks {
  readonly #waits: Waits;
  readonly #load: (chunk: Chunk) => Promise<unknown>;
  /** Chunks that are queued or being loaded. */
  readonly #pending = new Set<Chunk>();
  /** If one of these is missing again, the disk is full or damaged: do not fetch it again. */
  readonly #loaded = new WeakSet<Chunk>();
  readonly #loads = pLimit(MOST_EARLY);

  /**
   * @param load fetches a chunk and stores it, beside everything else that is fetched; not called again for a chunk after success
   */
  constructor(waits: Waits, load: (chunk: Chunk) => Promise<unknown>) {
    this.#waits = waits;
    this.#load = load;
  }

  /**
   * Resolves when the chunk is here, or the wait has ended.
   *
   * @param chunk a missing chunk of a release that is being fetched
   * @returns whether it is here, or may still arrive
   */
  async until(chunk: Chunk, response: Waiting): Promise<boolean> {
    if (this.#loaded.has(chunk)) return false;
    const key = keyOf(chunk);
    const wait = this.#waits.until(key, response);
    if (!this.#pending.has(chunk)) {
      this.#pending.add(chunk);
      void this.#loads(() => this.#fetch(chunk, key));
    }
    await wait;
    // A chunk that could not be fetched is retried with all the others.
    return true;
  }

  async #fetch(chunk: Chunk, key: string): Promise<void> {
    try {
      // Every client has left, or waited for too long.
      if (!this.#waits.has(key)) return;
      await this.#load(chunk);
      this.#loaded.add(chunk);
    } catch {
      // The failure has been logged.
    } finally {
      this.#pending.delete(chunk);
      this.#waits.came(key);
    }
  }
}
