/**
 * Finds a tree's chunk by its SHA-256. There may be a million chunks, whose hashes as keys of a Map would take 150 MB; this index
 * takes eight bytes per chunk.
 */
import type { Chunk } from "../tree/tree.ts";

/** Chunks handled between two pauses; they take about a millisecond. */
const CHUNKS_PER_STEP = 4000;
const EMPTY = 0xffffffff;

export class ChunkIndex {
  readonly #chunks: readonly Chunk[];
  /** Positions in `chunks`, each at the slot given by the start of its hash, or after it. At least half are empty. */
  readonly #slots: Uint32Array;

  private constructor(chunks: readonly Chunk[]) {
    this.#chunks = chunks;
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(2 * chunks.length + 1))).fill(EMPTY);
  }

  /** An index of the chunks that have hashes; others are not found. A generator, so that the caller can pause. */
  static *growing(chunks: readonly Chunk[]): Generator<void, ChunkIndex> {
    const index = new ChunkIndex(chunks);
    for (const [i, { sha256 }] of chunks.entries()) {
      if (sha256 !== undefined) index.#slots[index.#slotOf(sha256)] = i;
      if (i % CHUNKS_PER_STEP === CHUNKS_PER_STEP - 1) yield;
    }
    return index;
  }

  find(sha256: Uint8Array): Chunk | undefined {
    const position = this.#slots[this.#slotOf(sha256)]!;
    return position === EMPTY ? undefined : this.#chunks[position];
  }

  /** The slot that holds a hash, or the free one for it. */
  #slotOf(sha256: Uint8Array): number {
    const slots = this.#slots;
    const { buffer, byteOffset } = sha256;
    let slot = new DataView(buffer, byteOffset).getUint32(0) & (slots.length - 1);
    for (; slots[slot] !== EMPTY; slot = (slot + 1) & (slots.length - 1)) {
      if (Buffer.compare(this.#chunks[slots[slot]!]!.sha256!, sha256) === 0) break;
    }
    return slot;
  }
}
