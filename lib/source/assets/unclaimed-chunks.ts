/** Chunks that have arrived with a whole file before anybody requested them. */
import type { ListedChunk, ListedFile } from "../listed-file.ts";

export class UnclaimedChunks {
  /** By the chunks' names, which are known from the start. */
  readonly #held = new Map<string, { readonly chunk: ListedChunk; readonly bytes: Buffer }>();
  #bytes = 0;

  /** Holds a chunk if there is room: it may evict other files' chunks, but not the first ones of its own file. @param most bytes of all */
  hold(chunk: ListedChunk, bytes: Buffer, most: number): void {
    this.take(chunk);
    for (const { chunk: held } of this.#held.values()) {
      if (this.#bytes + bytes.length <= most) break;
      if (held.file !== chunk.file) this.take(held);
    }
    if (this.#bytes + bytes.length > most) return;
    this.#held.set(chunk.name, { chunk, bytes });
    this.#bytes += bytes.length;
  }

  /** A chunk's bytes, which are no longer held then; undefined when they are not held. */
  take(chunk: ListedChunk): Buffer | undefined {
    const bytes = this.#held.get(chunk.name)?.bytes;
    if (bytes === undefined) return undefined;
    this.#held.delete(chunk.name);
    this.#bytes -= bytes.length;
    return bytes;
  }

  /** Drops all of a file's chunks. */
  drop(file: ListedFile): void {
    for (const chunk of file.chunks) this.take(chunk);
  }
}
