/** Chunks that have come with a whole file before anybody asked for them, until somebody does. */
import type { ListedChunk, ListedFile } from "../listed-file.ts";

export class UnclaimedChunks {
  /** By the chunks' names, which they have from the start. */
  readonly #held = new Map<string, { readonly chunk: ListedChunk; readonly bytes: Buffer }>();
  #bytes = 0;

  /** Holds it, if there is room: other files' chunks make way, the file's own first ones do not. @param most bytes of all */
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

  take(chunk: ListedChunk): Buffer | undefined {
    const bytes = this.#held.get(chunk.name)?.bytes;
    if (bytes === undefined) return undefined;
    this.#held.delete(chunk.name);
    this.#bytes -= bytes.length;
    return bytes;
  }

  /** All of a file's are of no use. */
  drop(file: ListedFile): void {
    for (const chunk of file.chunks) this.take(chunk);
  }
}
