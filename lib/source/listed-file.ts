/**
 * A file of a canister that lists files, but not the hashes of their parts. It is read in parts of a chunk's size. Each part
 * gets its hash when it is first accepted: later it must be the same, or it belongs to another version of the file.
 */
import { MAX_CHUNK_BYTES } from "../tree/limits.ts";
import type { ChunkReference } from "../tree/manifest.ts";
import type { Chunk } from "../tree/tree.ts";

interface Part {
  readonly name: string;
  readonly file: ListedFile;
  /** Where the chunk begins in the file, in bytes. */
  readonly offset: number;
}

/** A part of a file whose hash is known. */
export type HashedPart = ChunkReference & Part;
export type ListedChunk = Chunk & Part;

/** The hashes of chunks that were listed without one, once they have been accepted. */
export class KnownChunks {
  readonly #known = new WeakMap<Chunk, HashedPart>();

  /** The chunk with its hash, if that is known; otherwise the chunk itself. */
  of<C extends Chunk>(chunk: C): C | HashedPart {
    return this.#known.get(chunk) ?? chunk;
  }

  /** The chunk with its hash: the one that is known already, or else this one, which is known from now on. */
  learn(chunk: ListedChunk, sha256: Uint8Array): HashedPart {
    const before = this.of(chunk);
    if (before.sha256 !== undefined) return before;
    const known = { ...chunk, sha256 };
    this.#known.set(chunk, known);
    return known;
  }
}

export interface ListedFileFields extends Pick<ListedFile, "path" | "size" | "modified"> {
  readonly changes?: number;
  readonly sha256?: Uint8Array | undefined;
}

let lastVersion = 0;

export class ListedFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly modified: bigint;
  readonly chunks: readonly ListedChunk[];
  /** How often its bytes were seen to change while its length did not. */
  readonly changes: number;
  /** Undefined if the list does not have it, until somebody has read the whole file. */
  sha256: Uint8Array | undefined;

  /** @param hashes of its chunks, as far as they are known */
  constructor(
    { path, size, modified, changes = 0, sha256 }: ListedFileFields,
    hashes: readonly (Uint8Array | undefined)[] = [],
  ) {
    this.path = path;
    this.size = size;
    this.modified = modified;
    this.changes = changes;
    this.sha256 = sha256;
    lastVersion += 1;
    const version = lastVersion;
    this.chunks = Array.from({ length: chunksIn(size) }, (_, i) => {
      const offset = i * MAX_CHUNK_BYTES;
      return {
        name: `${path}, version ${version}, from byte ${offset}`,
        file: this,
        offset,
        size: Math.min(MAX_CHUNK_BYTES, size - offset),
        sha256: hashes[i],
      };
    });
  }
}

/** The number of chunks of a file of so many bytes. */
export function chunksIn(size: number): number {
  return Math.ceil(size / MAX_CHUNK_BYTES);
}
