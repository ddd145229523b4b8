/**
 * Released chunks take memory until the garbage is collected, and so do the pieces in which they arrived. Node is
 * in no hurry: 64 MiB of them can pile up in addition to those in use. So icfs starts collections itself, the sooner the smaller
 * `--memory` is, if `--expose-gc` allows it (bin/icfs).
 *
 * V8 keeps heap pages that a collection has emptied, so a process would never need less memory than its heap did at its peak. Only a
 * thorough collection returns them to the system.
 */

/**
 * Released chunks that start a collection, as a share of the memory for chunks. With 256 MiB, V8 nearly always collects them before that,
 * mostly on other threads. A collection on request is done all at once, and a reader may wait for it.
 */
const SHARE_OF_CHUNKS = 1 / 2;
/** The same for pieces. They are young objects, which take a millisecond to collect. */
const SHARE_OF_PIECES = 1 / 8;
/** Below this, memory is scarce, and as little garbage as possible should remain. */
const SMALL_BYTES = 128 * 1024 * 1024;
/** The bytes that start a collection when memory is scarce. It takes some milliseconds, too much for every chunk. */
const LEAST_BYTES = 8 * 1024 * 1024;
/** Released chunks that start a thorough collection, in bytes. It takes twice as long as an ordinary one. */
const THOROUGH_BYTES = 1024 * 1024 * 1024;

export class Garbage {
  readonly #mostChunks: number;
  readonly #mostPieces: number;
  /** Bytes of chunks that were released and not collected yet. Mostly V8 collects them by itself before they are too many. */
  #lying = 0;
  /** Bytes of chunks that were released, and of chunks whose pieces have arrived, since a collection was last requested. */
  #chunks = 0;
  #pieces = 0;
  /** Bytes of chunks that were released since the last thorough collection. */
  #sinceThorough = 0;
  readonly #collected = new FinalizationRegistry<number>((bytes) => {
    this.#lying -= bytes;
  });

  /** @param memory bytes for chunks that are in use */
  constructor(memory: number) {
    const most = (share: number) => (memory < SMALL_BYTES ? LEAST_BYTES : share * memory);
    this.#mostChunks = most(SHARE_OF_CHUNKS);
    this.#mostPieces = most(SHARE_OF_PIECES);
  }

  /** A chunk was released: nobody uses it any more, except for those who are reading it. */
  letGo({ buffer, length }: Buffer): void {
    this.#collected.register(buffer, length);
    this.#lying += length;
    this.#chunks += length;
    this.#sinceThorough += length;
    const isThorough = this.#sinceThorough >= THOROUGH_BYTES;
    if (!isThorough && Math.min(this.#lying, this.#chunks) < this.#mostChunks) return;
    this.#chunks = 0;
    this.#pieces = 0;
    if (isThorough) this.#sinceThorough = 0;
    globalThis.gc?.({ type: "major", flavor: isThorough ? "last-resort" : "regular" });
  }

  /** A chunk of so many bytes has come from the network. */
  arrived(bytes: number): void {
    this.#pieces += bytes;
    if (this.#pieces < this.#mostPieces) return;
    this.#pieces = 0;
    globalThis.gc?.({ type: "minor" });
  }
}
