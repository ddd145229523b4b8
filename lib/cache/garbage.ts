/**
 * Chunks that were let go still take memory until the garbage is collected, and so do the pieces in which they came; Node is
 * in no hurry: 64 MiB of them may pile up beside those that are in use. So it is asked to, where `--expose-gc` lets it be
 * asked (bin/icfs).
 */

/** A part of the memory for chunks: whoever wants it small wants it to be small in all. */
const SHARE = 1 / 4;
const LEAST_BYTES = 8 * 1024 * 1024;
/** A collection takes some milliseconds, and a link of 100 MiB/s makes three a second necessary: enough. */
const MOST_BYTES = 32 * 1024 * 1024;
/** Of pieces. They are young, and to collect those takes a millisecond. */
const PIECES_BYTES = 8 * 1024 * 1024;

export class Garbage {
  readonly #most: number;
  #chunks = 0;
  #pieces = 0;

  /** @param memory bytes for chunks that are in use */
  constructor(memory: number) {
    this.#most = Math.max(LEAST_BYTES, Math.min(MOST_BYTES, SHARE * memory));
  }

  /** A chunk of so many bytes is not in use any more. */
  letGo(bytes: number): void {
    this.#chunks += bytes;
    if (this.#chunks < this.#most) return;
    this.#chunks = 0;
    this.#pieces = 0;
    globalThis.gc?.();
  }

  /** A chunk of so many bytes has come from the network. */
  arrived(bytes: number): void {
    this.#pieces += bytes;
    if (this.#pieces < PIECES_BYTES) return;
    this.#pieces = 0;
    globalThis.gc?.({ type: "minor" });
  }
}
