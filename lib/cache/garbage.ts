/**
 * Chunks that were let go still take memory until the garbage is collected, and so do the pieces in which they came; Node is
 * in no hurry: 64 MiB of them may pile up beside those that are in use. So it is asked to, the sooner the smaller the memory
 * is to be, if `--expose-gc` lets it be asked (bin/icfs).
 */

/** Parts of the memory for chunks. With 256 MiB Node is quicker by itself, and does most of it on other threads. */
const SHARE_OF_CHUNKS = 1 / 4;
/** They are young, and to collect those takes a millisecond. */
const SHARE_OF_PIECES = 1 / 8;
/** Below this the memory is to be small, and as little as possible is to lie about. */
const SMALL_BYTES = 128 * 1024 * 1024;
/** A collection takes some milliseconds: not for every chunk. */
const LEAST_BYTES = 8 * 1024 * 1024;

export class Garbage {
  readonly #mostChunks: number;
  readonly #mostPieces: number;
  #chunks = 0;
  #pieces = 0;

  /** @param memory bytes for chunks that are in use */
  constructor(memory: number) {
    const most = (share: number) => (memory < SMALL_BYTES ? LEAST_BYTES : share * memory);
    this.#mostChunks = most(SHARE_OF_CHUNKS);
    this.#mostPieces = most(SHARE_OF_PIECES);
  }

  /** A chunk of so many bytes is not in use any more. */
  letGo(bytes: number): void {
    this.#chunks += bytes;
    if (this.#chunks < this.#mostChunks) return;
    this.#chunks = 0;
    this.#pieces = 0;
    globalThis.gc?.();
  }

  /** A chunk of so many bytes has come from the network. */
  arrived(bytes: number): void {
    this.#pieces += bytes;
    if (this.#pieces < this.#mostPieces) return;
    this.#pieces = 0;
    globalThis.gc?.({ type: "minor" });
  }
}
