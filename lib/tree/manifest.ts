/**
 * The manifest: a release's tree, and where each file's bytes are (docs/PROTOCOL.md, "Manifest"). This is its
 * form in memory, with what its encoder and decoder share.
 *
 *     record { chunks  : vec record { sha256 : blob; size : nat32 };
 *              entries : vec record { path : text; modified : nat64;
 *                kind : variant { directory; symlink : text;
 *                  file : record { size : nat64; sha256 : blob; executable : bool;
 *                    extents : vec record { back : nat32; offset : nat32; length : nat32 } } } } }
 */

/**
 * Magic and version, then `DIDL`, the type table of the type above and the argument list, byte for byte: fields in
 * Candid's order (by the hash of their names), so that `entries` come before `chunks`.
 */
export const MANIFEST_PREFIX: Uint8Array = Buffer.concat([
  Buffer.from("ICFSMAN\x01", "latin1"),
  Buffer.from(
    "4449444c0a6d7b6c03a7b4c388047993affe810679e6a99ef809796d016c04e7c8eae70100cacb8db7037ec1c1cee20478c9b6f38207" +
      "026b03ede49382017f81a9cdcd0171fc9cef9d04036c03c9b69fb60178d4c2a7b80404a5cbc7d204716d056c02e7c8eae70100c1c1ce" +
      "e204796d076c02d0dafcca0706e6b2aba50c080109",
    "hex",
  ),
]);

/** Cases of `kind`, in Candid's order. */
export const KIND_DIRECTORY = 0;
export const KIND_SYMLINK = 1;
export const KIND_FILE = 2;

export interface ChunkReference {
  readonly sha256: Uint8Array;
  /** Bytes, 1 to MAX_CHUNK_BYTES. */
  readonly size: number;
}

/** A piece of a file: `length` bytes, beginning at `offset`, of the chunk at index `chunk` of the manifest's table. */
export interface Extent {
  readonly chunk: number;
  readonly offset: number;
  readonly length: number;
}

interface EntryBase {
  /** Relative to the root, with `/` between components. */
  readonly path: string;
  /** Nanoseconds since 1970. */
  readonly modified: bigint;
}

export interface DirectoryEntry extends EntryBase {
  readonly kind: "directory";
}

export interface SymlinkEntry extends EntryBase {
  readonly kind: "symlink";
  readonly target: string;
}

export interface FileEntry extends EntryBase {
  readonly kind: "file";
  /** Bytes. */
  readonly size: number;
  readonly sha256: Uint8Array;
  readonly executable: boolean;
  readonly extents: readonly Extent[];
}

export type Entry = DirectoryEntry | SymlinkEntry | FileEntry;

export interface Manifest {
  /** In the order in which the entries' extents first name them. */
  readonly chunks: readonly ChunkReference[];
  /** Sorted by the UTF-8 bytes of their paths, so that a directory comes before its content. */
  readonly entries: readonly Entry[];
}

const SURROGATE = /[\ud800-\udfff]/;

/** Orders paths by their UTF-8 bytes. JavaScript's own order, by UTF-16 units, differs for characters that take two units. */
export function comparePaths(a: string, b: string): number {
  if (!SURROGATE.test(a) && !SURROGATE.test(b)) return a < b ? -1 : Number(a > b);
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
