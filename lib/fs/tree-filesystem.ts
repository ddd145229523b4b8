/**
 * A verified tree as a file system: answers a transport's operations. All but `read` are answered from the tree at
 * once; `read` gets chunks from the cache, and asks for the next ones ahead of a sequential reader.
 */
import { type ChunkReference, entrySize, type FileEntry } from "../tree/manifest.ts";
import type { Tree, TreeNode } from "../tree/tree.ts";
import {
  type Attributes,
  type DirectoryEntry,
  type FileSystem,
  type FileSystemStatistics,
  FsError,
  type Inode,
  ROOT_INODE,
} from "./filesystem.ts";

/** Where chunks come from, as seen from here (lib/cache). */
export interface Chunks {
  /** Rejects when the bytes cannot be had in time. */
  get(reference: ChunkReference): Promise<Buffer>;
  prefetch(reference: ChunkReference): void;
}

/**
 * How many chunks are asked for ahead of a sequential reader: 8 MiB under way keep a link of 50 MiB/s busy at a round
 * trip of 80 ms twice over.
 */
const READAHEAD_CHUNKS = 8;

interface Handle {
  readonly file: FileEntry;
  /** Where each extent begins in the file. */
  readonly starts: readonly number[];
  /** The last extent that a sequential reader has come to. */
  reached: number;
}

export class TreeFileSystem implements FileSystem {
  readonly #tree: Tree;
  readonly #chunks: Chunks;
  readonly #handles = new Map<number, Handle>();
  #lastHandle = 0;

  constructor(tree: Tree, chunks: Chunks) {
    this.#tree = tree;
    this.#chunks = chunks;
  }

  lookup(parent: Inode, name: string): Inode {
    const directory = this.#directory(parent);
    const node = directory.children.get(name);
    if (node === undefined) throw new FsError("ENOENT", `${directory.entry.path}/${name}`);
    return inodeOf(node);
  }

  getattr(inode: Inode): Attributes {
    const node = this.#node(inode);
    const { entry } = node;
    return {
      inode,
      kind: entry.kind,
      size: entrySize(entry),
      executable: entry.kind === "file" && entry.executable,
      modified: Number(entry.modified / 1_000_000n),
      links: entry.kind === "directory" ? 2 + node.subdirectories : 1,
    };
  }

  readlink(inode: Inode): string {
    const { entry } = this.#node(inode);
    if (entry.kind !== "symlink") throw new FsError("EINVAL", `${entry.path} is no symlink`);
    return entry.target;
  }

  readdir(inode: Inode): readonly DirectoryEntry[] {
    return Array.from(this.#directory(inode).children, ([name, node]) => ({
      name,
      inode: inodeOf(node),
      kind: node.entry.kind,
    }));
  }

  statfs(): FileSystemStatistics {
    return { bytes: this.#tree.bytes, entries: this.#tree.nodes.length };
  }

  open(inode: Inode): number {
    const { entry } = this.#node(inode);
    if (entry.kind === "directory") throw new FsError("EISDIR", entry.path);
    if (entry.kind !== "file") throw new FsError("EINVAL", `${entry.path} is a symlink`);
    let start = 0;
    const starts = entry.extents.map(({ length }) => {
      start += length;
      return start - length;
    });
    this.#lastHandle += 1;
    this.#handles.set(this.#lastHandle, { file: entry, starts, reached: -1 });
    return this.#lastHandle;
  }

  async read(handle: number, offset: number, length: number): Promise<Uint8Array> {
    const open = this.#handles.get(handle);
    if (open === undefined) throw new FsError("EBADF", `no handle ${handle}`);
    const { file, starts } = open;
    const end = Math.min(offset + length, file.size);
    if (offset >= end) return new Uint8Array(0);
    const first = extentAt(starts, offset);
    let last = first;
    while (last + 1 < starts.length && starts[last + 1]! < end) last += 1;
    const parts: Promise<Buffer>[] = [];
    for (let i = first; i <= last; i++) parts.push(this.#chunks.get(this.#chunkOf(file, i)));
    this.#readAhead(open, first, last);
    let chunks: Buffer[];
    try {
      chunks = await Promise.all(parts);
    } catch (error) {
      throw new FsError("EIO", `${file.path}: ${error instanceof Error ? error.message : error}`);
    }
    const slices = chunks.map((chunk, i) => {
      const extent = file.extents[first + i]!;
      const start = starts[first + i]!;
      return chunk.subarray(
        extent.offset + Math.max(0, offset - start),
        extent.offset + Math.min(extent.length, end - start),
      );
    });
    return slices.length === 1 ? slices[0]! : Buffer.concat(slices);
  }

  /**
   * Judged by extents, not by offsets: the kernel's own readahead sends the reads of a sequential reader in parallel,
   * and they arrive in any order.
   */
  #readAhead(open: Handle, first: number, last: number): void {
    if (last <= open.reached) return;
    const sequential = first <= open.reached + 1;
    open.reached = last;
    if (!sequential) return;
    const end = Math.min(last + READAHEAD_CHUNKS, open.file.extents.length - 1);
    for (let i = last + 1; i <= end; i++) this.#chunks.prefetch(this.#chunkOf(open.file, i));
  }

  release(handle: number): void {
    this.#handles.delete(handle);
  }

  #node(inode: Inode): TreeNode {
    const node = this.#tree.nodes[inode - ROOT_INODE];
    if (node === undefined) throw new FsError("ENOENT", `no inode ${inode}`);
    return node;
  }

  #directory(inode: Inode): TreeNode {
    const node = this.#node(inode);
    if (node.entry.kind !== "directory") throw new FsError("ENOTDIR", node.entry.path);
    return node;
  }

  #chunkOf(file: FileEntry, extent: number): ChunkReference {
    return this.#tree.chunks[file.extents[extent]!.chunk]!;
  }
}

function inodeOf(node: TreeNode): Inode {
  return node.index + ROOT_INODE;
}

/** The index of the last start that is not past `offset`. */
function extentAt(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (starts[middle]! <= offset) low = middle;
    else high = middle;
  }
  return low;
}
