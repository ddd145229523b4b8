/**
 * Reads whole files, one after the other. It requests the next chunks ahead, even those of later files, and checks each
 * file's own SHA-256.
 */
import { createHash } from "node:crypto";
import { FormatError } from "../errors.ts";
import { FILE_READER_CHUNKS } from "../readahead.ts";
import { letOthers } from "../steps.ts";
import { hexOf } from "../tree/hash.ts";
import type { Chunk, Chunks, TreeFile } from "../tree/tree.ts";

/**
 * Extents, or files, and bytes between two pauses: a millisecond or two. Without pauses, a reader would block everything else when
 * all chunks are here: in a file with tiny extents, or with one chunk many times, and in many files that share one.
 */
const EXTENTS_PER_STEP = 1000;
const BYTES_PER_STEP = 1024 * 1024;

/** A file's chunks match the manifest, but the file does not match its hash: the publisher's manifest is wrong. */
export class WrongFileError extends FormatError {}

export class FileReader {
  readonly #files: readonly TreeFile[];
  readonly #table: readonly Chunk[];
  readonly #chunks: Chunks;
  /** The chunks in the order in which they are needed, as far as they are determined; neighbours in a pack need their chunk only once. */
  readonly #order: number[] = [];
  /** Where in that order each file begins; the last one's extents need not all be in it. */
  readonly #starts: number[] = [];
  /** How many extents of the last file are in it. */
  #extents = 0;
  /** Errors of chunks: a pack is not requested again for each of its files. */
  readonly #bad = new Map<number, unknown>();
  /** The position in the order after which chunks were last requested ahead. */
  #reached = -1;
  /** Work since the last pause, over all files. */
  #step = { extents: 0, bytes: 0 };

  /**
   * @param files in the order in which they will be read
   * @param table the chunks of the manifest that the files are from
   */
  constructor(files: readonly TreeFile[], table: readonly Chunk[], chunks: Chunks) {
    this.#files = files;
    this.#table = table;
    this.#chunks = chunks;
  }

  /** Goes on with the order by one extent, or to the next file. @returns false at its end */
  #goOn(): boolean {
    const last = this.#order.at(-1);
    const extent = this.#files[this.#starts.length - 1]?.extents[this.#extents];
    if (extent !== undefined) {
      this.#extents += 1;
      if (extent.chunk !== last) this.#order.push(extent.chunk);
      return true;
    }
    const next = this.#files[this.#starts.length];
    if (next === undefined) return false;
    const shared = next.extents.length > 0 && next.extents[0]!.chunk === last;
    this.#starts.push(this.#order.length - (shared ? 1 : 0));
    this.#extents = 0;
    return true;
  }

  /**
   * The bytes of `files[index]`, piece by piece. The last piece comes only if all of them match the file's hash.
   *
   * @throws WrongFileError when they do not; what `get` throws when a chunk cannot be fetched
   */
  async *read(index: number): AsyncGenerator<Buffer, void, undefined> {
    const file = this.#files[index]!;
    const { extents, sha256 } = file;
    await this.#pause(0);
    const hash = createHash("sha256");
    let held: Buffer | undefined;
    while (this.#starts.length <= index && this.#goOn());
    let position = this.#starts[index]!;
    for (const [i, { chunk, offset, length }] of extents.entries()) {
      if (i > 0 && chunk !== extents[i - 1]!.chunk) position += 1;
      await this.#pause(length);
      const whole = this.#chunk(chunk);
      this.#askAhead(position);
      const bytes = (await whole).subarray(offset, offset + length);
      hash.update(bytes);
      if (held !== undefined) yield held;
      held = bytes;
    }
    const actual = hash.digest();
    if (sha256 === undefined) file.learn?.(actual);
    else if (!actual.equals(sha256)) {
      throw new WrongFileError(
        `the file's SHA-256 is ${hexOf(actual)}, and the manifest says ${hexOf(sha256)}`,
      );
    }
    file.checked = true;
    if (held !== undefined) yield held;
  }

  /** Lets others go on, now and then. @param bytes that are about to be hashed */
  async #pause(bytes: number): Promise<void> {
    const step = this.#step;
    step.extents += 1;
    step.bytes += bytes;
    if (step.extents < EXTENTS_PER_STEP && step.bytes < BYTES_PER_STEP) return;
    this.#step = { extents: 0, bytes: 0 };
    await letOthers();
  }

  async #chunk(chunk: number): Promise<Buffer> {
    if (this.#bad.has(chunk)) throw this.#bad.get(chunk);
    try {
      return await this.#chunks.get(this.#table[chunk]!);
    } catch (error) {
      this.#bad.set(chunk, error);
      throw error;
    }
  }

  #askAhead(position: number): void {
    if (position === this.#reached) return;
    this.#reached = position;
    while (this.#order.length <= position + FILE_READER_CHUNKS && this.#goOn());
    for (const chunk of this.#order.slice(position + 1, position + 1 + FILE_READER_CHUNKS)) {
      if (!this.#bad.has(chunk)) this.#chunks.prefetch(this.#table[chunk]!);
    }
  }
}
