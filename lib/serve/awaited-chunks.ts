/**
 * Chunks of a release that is being fetched, for those who ask before they are here. Each is fetched in any case, and once: who asks for one
 * only has it fetched before others.
 */
import pLimit from "p-limit";
import { type Chunk, keyOf } from "../tree/tree.ts";
import type { Waits } from "./waits.ts";

/** Chunks that are got before others at a time: what is asked for in the meantime may have come with the others by then. */
const MOST_EARLY = 8;

export class AwaitedChunks {
  readonly #waits: Waits;
  readonly #load: (chunk: Chunk) => Promise<unknown>;
  /** What is to be loaded, or is being loaded. */
  readonly #pending = new Set<Chunk>();
  /** If one of these is not here, the disk is full or damaged: nobody has it fetched again. */
  readonly #loaded = new WeakSet<Chunk>();
  readonly #loads = pLimit(MOST_EARLY);

  /** @param load gets a chunk to where it is kept, beside all else that is being fetched; it is not asked twice for one that it got */
  constructor(waits: Waits, load: (chunk: Chunk) => Promise<unknown>) {
    this.#waits = waits;
    this.#load = load;
  }

  /**
   * Resolves when the chunk is here, or is not waited for any more.
   *
   * @param chunk which is not here, of a release that is being fetched @param response as Waits has it
   * @returns whether it is here, or still on its way
   */
  async until(chunk: Chunk, response: Parameters<Waits["until"]>[1]): Promise<boolean> {
    if (this.#loaded.has(chunk)) return false;
    const key = keyOf(chunk);
    const wait = this.#waits.until(key, response);
    if (!this.#pending.has(chunk)) {
      this.#pending.add(chunk);
      void this.#loads(() => this.#fetch(chunk, key));
    }
    await wait;
    // If it could not be had, it is tried again with all the others.
    return true;
  }

  async #fetch(chunk: Chunk, key: string): Promise<void> {
    try {
      // Else they have gone, or have waited for too long.
      if (!this.#waits.has(key)) return;
      await this.#load(chunk);
      this.#loaded.add(chunk);
    } catch {
      // It is logged.
    } finally {
      this.#pending.delete(chunk);
      this.#waits.came(key);
    }
  }
}
