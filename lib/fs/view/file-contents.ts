/**
 * Where a file's bytes are in its chunks, and how a read assembles them. A manifest may cut a file into a million extents of
 * one byte, each in a different chunk. So all handles of a file share one table of extents, and a read holds only its result and a
 * few chunks.
 */
import { before } from "../../deadline.ts";
import { letOthers } from "../../steps.ts";
import type { Chunk, Chunks, Tree, TreeFile } from "../../tree/tree.ts";

/** A read of at most this many extents returns slices of its chunks, without allocating memory. A read of more returns one copy. */
const MOST_PIECES = 16;
/** Chunks that one read waits for, and holds, at once. Normal files, cut into chunks of a megabyte, need two. */
const MOST_CHUNKS = 16;
/** Extents between two pauses: a millisecond or two. */
const EXTENTS_PER_STEP = 4000;

/** Consecutive extents of a file, from the first to the last, both included. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

/** An open file. */
export class FileContents {
  readonly file: TreeFile;
  /** From the release in which the file was opened: the file is read from these to its end, even after a switch. */
  readonly #chunks: readonly Chunk[];
  /** Where each extent begins in the file. */
  readonly #starts: Float64Array;

  constructor(file: TreeFile, tree: Tree) {
    this.file = file;
    this.#chunks = tree.chunks;
    this.#starts = new Float64Array(file.extents.length);
    let start = 0;
    for (const [i, { length }] of file.extents.entries()) {
      this.#starts[i] = start;
      start += length;
    }
  }

  /** The extents that hold the bytes from `offset` up to `end`: at least one byte, all within the file. */
  span(offset: number, end: number): Span {
    return { first: extentAt(this.#starts, offset), last: extentAt(this.#starts, end - 1) };
  }

  /** The chunk of an extent. */
  chunkOf(extent: number): Chunk {
    return this.#chunks[this.file.extents[extent]!.chunk]!;
  }

  /** The chunks after one of the file's extents in the release's order, the order in which files need them. */
  chunksBehind(extent: number, count: number): readonly Chunk[] {
    const next = this.file.extents[extent]!.chunk + 1;
    return this.#chunks.slice(next, next + count);
  }

  /**
   * The bytes from `offset` up to `end`, in pieces. The first parameter is what span() returns for them.
   *
   * @param readTimeout milliseconds for all of a read of many extents; a read of few has the deadline of `get`
   * @throws what `get` throws when a chunk cannot be fetched; Error when it takes longer
   */
  async bytes(
    { first, last }: Span,
    offset: number,
    end: number,
    chunks: Chunks,
    readTimeout: number,
  ): Promise<readonly Uint8Array[]> {
    if (last - first < MOST_PIECES) return this.#pieces({ first, last }, offset, end, chunks);
    const deadline = performance.now() + readTimeout;
    const copy = this.#copy({ first, last }, offset, end, chunks, deadline);
    return [await before(deadline, copy, "no answer within the read timeout")];
  }

  /** A read of few extents. */
  async #pieces({ first, last }: Span, offset: number, end: number, chunks: Chunks): Promise<Buffer[]> {
    const asked: Promise<Buffer>[] = [];
    for (let i = first; i <= last; i++) asked.push(chunks.get(this.chunkOf(i)));
    const got = await Promise.all(asked);
    return got.map((chunk, i) => this.#slice(first + i, chunk, offset, end));
  }

  /** A read of many extents: a few chunks at a time, until the deadline, after which nobody waits any more. */
  async #copy(
    { first, last }: Span,
    offset: number,
    end: number,
    chunks: Chunks,
    deadline: number,
  ): Promise<Buffer> {
    const target = Buffer.allocUnsafe(end - offset);
    let at = 0;
    for (let next = first; next <= last && performance.now() < deadline; ) {
      const { asked, until } = this.#some(next, last, chunks);
      const got = new Map(
        await Promise.all(Array.from(asked, async ([chunk, bytes]) => [chunk, await bytes] as const)),
      );
      for (; next < until; next++) {
        at += this.#slice(next, got.get(this.file.extents[next]!.chunk)!, offset, end).copy(target, at);
      }
      await letOthers();
    }
    // The rest of the buffer is uninitialized.
    return target.subarray(0, at);
  }

  /** Requests the chunks of the next extents, each once. @returns them by number, and the first extent that they do not cover */
  #some(first: number, last: number, chunks: Chunks): { asked: Map<number, Promise<Buffer>>; until: number } {
    const { extents } = this.file;
    const asked = new Map<number, Promise<Buffer>>();
    const most = Math.min(last + 1, first + EXTENTS_PER_STEP);
    let until = first;
    for (; until < most; until++) {
      const { chunk } = extents[until]!;
      if (asked.has(chunk)) continue;
      if (asked.size === MOST_CHUNKS) break;
      asked.set(chunk, chunks.get(this.chunkOf(until)));
    }
    return { asked, until };
  }

  /** What an extent has of the bytes from `offset` to `end`. */
  #slice(extent: number, chunk: Buffer, offset: number, end: number): Buffer {
    const { offset: inChunk, length } = this.file.extents[extent]!;
    const start = this.#starts[extent]!;
    return chunk.subarray(inChunk + Math.max(0, offset - start), inChunk + Math.min(length, end - start));
  }
}

/** The open files, each once, however often it is open. */
export class OpenContents {
  readonly #open = new Map<TreeFile, { readonly contents: FileContents; count: number }>();

  /** How many there are. */
  get size(): number {
    return this.#open.size;
  }

  /** To be undone by `closed`. */
  opened(file: TreeFile, tree: Tree): FileContents {
    let open = this.#open.get(file);
    if (open === undefined) {
      open = { contents: new FileContents(file, tree), count: 0 };
      this.#open.set(file, open);
    }
    open.count += 1;
    return open.contents;
  }

  closed(file: TreeFile): void {
    const open = this.#open.get(file)!;
    open.count -= 1;
    if (open.count === 0) this.#open.delete(file);
  }
}

/** The index of the last start that is not past `offset`. */
function extentAt(starts: Float64Array, offset: number): number {
  let low = 0;
  let high = starts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (starts[middle]! <= offset) low = middle;
    else high = middle;
  }
  return low;
}
