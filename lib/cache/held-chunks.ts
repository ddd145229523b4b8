/** Chunks in memory that are never evicted: those of open files that must stay here (--open whole), if no disk keeps them. */
import { mostChunksIn } from "./chunk-memory.ts";

export class HeldChunks {
  readonly #most: number;
  readonly #chunks = new Map<string, { readonly bytes: Buffer; holders: number }>();
  #bytes = 0;

  /** @param most bytes that all of them may have */
  constructor(most: number) {
    this.#most = most;
  }

  /** Bytes of all held chunks, each counted once. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): Buffer | undefined {
    return this.#chunks.get(key)?.bytes;
  }

  /** Holds a chunk once more; false when there is no room for it. */
  add(key: string, bytes: Buffer): boolean {
    const held = this.#chunks.get(key);
    if (held !== undefined) {
      held.holders += 1;
      return true;
    }
    if (this.#bytes + bytes.length > this.#most || this.#chunks.size >= mostChunksIn(this.#most))
      return false;
    this.#chunks.set(key, { bytes, holders: 1 });
    this.#bytes += bytes.length;
    return true;
  }

  /** Undoes one `add`. @returns the chunk, if nobody holds it any more */
  remove(key: string): Buffer | undefined {
    const held = this.#chunks.get(key)!;
    held.holders -= 1;
    if (held.holders > 0) return undefined;
    this.#chunks.delete(key);
    this.#bytes -= held.bytes.length;
    return held.bytes;
  }
}
