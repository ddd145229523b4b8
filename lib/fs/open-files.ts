/** Files that readers hold open, over either transport: the last check between the file system and the kernel. */

import { type FileSystem, FsError } from "./view/filesystem.ts";

export class OpenFiles {
  readonly #fileSystem: FileSystem;
  /** Each handle's size, to distinguish a short read at the end of the file from one that lost bytes. */
  readonly #sizes = new Map<number, number>();
  #failing = false;

  constructor(fileSystem: FileSystem) {
    this.#fileSystem = fileSystem;
  }

  get count(): number {
    return this.#sizes.size;
  }

  opened(handle: number, size: number): void {
    this.#sizes.set(handle, size);
  }

  released(handle: number): void {
    if (!this.#sizes.delete(handle)) return;
    this.#fileSystem.release(handle);
  }

  /** From now on every read fails. */
  fail(): void {
    this.#failing = true;
  }

  /**
   * Reads exactly what is there. The kernel fills a short read with zeros, and caches them, so a read that lost bytes
   * must not reach it. @throws FsError; Error when bytes are missing
   */
  async read(handle: number, offset: number, length: number): Promise<readonly Uint8Array[]> {
    const size = this.#sizes.get(handle);
    if (size === undefined) throw new FsError("EBADF", "not open");
    // After a failed read-ahead the kernel asks again, before it tells the reader.
    if (this.#failing) throw new FsError("EIO", "unmounted");
    const pieces = await this.#fileSystem.read(handle, offset, length);
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const expected = Math.max(0, Math.min(length, size - offset));
    if (bytes !== expected) {
      throw new Error(`${bytes} bytes instead of ${expected} at ${offset} of a file of ${size} bytes`);
    }
    return pieces;
  }
}
