/** A release's tree, for lookups: nodes by number, names in directories. */
import { atOnce } from "../steps.ts";
import { hexOf } from "./hash.ts";
import { MAX_HOPS } from "./limits.ts";
import type { ChunkReference, DirectoryEntry, Extent, SymlinkEntry } from "./manifest.ts";
import { baseName, parentPath } from "./rules.ts";

/**
 * A piece of a tree's bytes, into which files' extents point: a manifest's chunk, or a part of one file. The object never changes. If no
 * manifest has the chunk's hash, another object, with the hash, replaces this one once the chunk has been fetched (Tree.known).
 */
export type Chunk = ChunkReference | NamedChunk;

export interface NamedChunk {
  readonly sha256: undefined;
  /** Distinguishes chunks whose hashes are not known. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

/** A chunk's bytes, which match its hash. */
export interface VerifiedChunk {
  readonly chunk: ChunkReference;
  readonly bytes: Buffer;
}

/** A chunk's key in caches: its SHA-256 in hexadecimal, or its name while the hash is not known. */
export function keyOf(chunk: Chunk): string {
  return chunk.sha256 === undefined ? chunk.name : hexOf(chunk.sha256);
}

/** Chunks for readers (lib/cache). */
export interface Chunks {
  /** The chunk's verified bytes. Rejects when they cannot be fetched in time. */
  get(reference: Chunk): Promise<Buffer>;
  /** Asks for a chunk that will probably be read soon. */
  prefetch(reference: Chunk): void;
}

/** A file in a tree, such as a manifest's file entry. */
export interface TreeFile {
  readonly kind: "file";
  /** Relative to the root, with `/` between components. */
  readonly path: string;
  /** Nanoseconds since 1970. */
  readonly modified: bigint;
  /** Bytes. */
  readonly size: number;
  /** Undefined if no manifest has it, until the whole file has been read. */
  readonly sha256: Uint8Array | undefined;
  readonly executable: boolean;
  readonly extents: readonly Extent[];
  /** If `sha256` is undefined, a reader of the whole file reports its hash here. */
  readonly learn?: (sha256: Buffer) => void;
  /**
   * Set once a reader of the whole file has confirmed this hash. The certificate proves the chunks that a file is made of, but the file's
   * own hash is the publisher's claim until then.
   */
  checked?: boolean;
}

export type TreeEntry = DirectoryEntry | SymlinkEntry | TreeFile;

/** An entry's size in bytes, as stat has it: a file's length, that of a symlink's target in UTF-8, 0 for a directory. */
export function entrySize(entry: TreeEntry): number {
  if (entry.kind === "file") return entry.size;
  return entry.kind === "symlink" ? Buffer.byteLength(entry.target) : 0;
}

/** What a tree is made from: a checked manifest, or another canister's list. */
export interface TreeContent {
  readonly chunks: readonly Chunk[];
  /** Sorted by the UTF-8 bytes of their paths, so that a directory comes before its content. */
  readonly entries: readonly TreeEntry[];
  /** Tree.known of the tree. Default: chunks stay as they are. */
  readonly known?: (chunk: Chunk) => Chunk;
}

export interface TreeNode {
  /** The node's number: 0 for the root, then in the order of the entries. */
  readonly index: number;
  readonly entry: TreeEntry;
  /** A directory's nodes by name, in path order; empty for other nodes. */
  readonly children: ReadonlyMap<string, TreeNode>;
  /** How many of the children are directories. */
  readonly subdirectories: number;
}

class MutableNode implements TreeNode {
  readonly index: number;
  readonly entry: TreeEntry;
  readonly children: Map<string, TreeNode>;
  subdirectories = 0;

  constructor(index: number, entry: TreeEntry) {
    this.index = index;
    this.entry = entry;
    this.children = entry.kind === "directory" ? new Map() : NO_CHILDREN;
  }
}

/** A node that has lost its children, because its release is gone. */
export function withoutChildren({ index, entry, subdirectories }: TreeNode): TreeNode {
  return { index, entry, children: NO_CHILDREN, subdirectories };
}

/** Shared by all nodes that are not directories, and never changed. */
const NO_CHILDREN: Map<string, TreeNode> = new Map();

/** Entries between two pauses: about a millisecond. */
const ENTRIES_PER_STEP = 1000;

function itself(chunk: Chunk): Chunk {
  return chunk;
}

/** Replaces the hash, which may be a view of the whole manifest, by a copy. */
function withOwnHash<T extends Chunk | TreeFile>(what: T): T {
  return what.sha256 === undefined ? what : { ...what, sha256: Uint8Array.from(what.sha256) };
}

export class Tree {
  readonly root: TreeNode;
  readonly nodes: readonly TreeNode[];
  readonly chunks: readonly Chunk[];
  readonly files: number;
  /** Bytes of all files together. */
  readonly bytes: number;
  /** The chunk as it is known by now: itself or, if it was listed without a hash and has been fetched, one with its hash. */
  readonly known: (chunk: Chunk) => Chunk;

  private constructor(
    nodes: readonly TreeNode[],
    { chunks, known = itself }: TreeContent,
    { files, bytes }: { files: number; bytes: number },
  ) {
    this.root = nodes[0]!;
    this.nodes = nodes;
    this.chunks = chunks;
    this.known = known;
    this.files = files;
    this.bytes = bytes;
  }

  /** A tree of valid content. @param modified the root's time in nanoseconds since 1970: no list contains the root */
  static of(content: TreeContent, modified: bigint): Tree {
    return atOnce(Tree.growing(content, modified));
  }

  /** of(), in steps. */
  static *growing(content: TreeContent, modified: bigint): Generator<void, Tree> {
    const root = new MutableNode(0, { kind: "directory", path: "", modified });
    const directories = new Map([["", root]]);
    const nodes = [root];
    const totals = { files: 0, bytes: 0 };
    for (const entry of content.entries) {
      const node = new MutableNode(nodes.length, entry);
      nodes.push(node);
      const parent = directories.get(parentPath(entry.path))!;
      parent.children.set(baseName(entry.path), node);
      if (entry.kind === "file") {
        totals.files += 1;
        totals.bytes += entry.size;
      }
      if (entry.kind === "directory") {
        parent.subdirectories += 1;
        directories.set(entry.path, node);
      }
      if (nodes.length % ENTRIES_PER_STEP === 0) yield;
    }
    return new Tree(nodes, content, totals);
  }

  /** An empty tree with the same time. */
  emptied(): Tree {
    return this.#empty([]);
  }

  /**
   * A file of this tree, with an empty tree that has only the file's chunks: for a file that is still in use when its release is gone. They
   * do not keep the manifest in memory.
   */
  alone(file: TreeFile): { readonly file: TreeFile; readonly tree: Tree } {
    // It may still learn its hash. There is no manifest: listed trees share the chunks of unchanged files.
    if (file.learn !== undefined) return { file, tree: this.#empty(this.chunks) };
    const numbers = [...new Set(file.extents.map(({ chunk }) => chunk))];
    const chunks = numbers.map((chunk) => withOwnHash(this.chunks[chunk]!));
    const renumbered = new Map(numbers.map((chunk, i) => [chunk, i]));
    const extents = file.extents.map((extent) => ({ ...extent, chunk: renumbered.get(extent.chunk)! }));
    return { file: withOwnHash({ ...file, extents }), tree: this.#empty(chunks) };
  }

  #empty(chunks: readonly Chunk[]): Tree {
    const root = new MutableNode(0, { kind: "directory", path: "", modified: this.root.entry.modified });
    return new Tree([root], { chunks, entries: [], known: this.known }, { files: 0, bytes: 0 });
  }

  /**
   * The node at `path`, relative to the root ("" is the root; leading slashes do not matter), found as the kernel does:
   * symlinks are followed, including the last one, and a file has nothing below it, not even `.`.
   */
  find(path: string): TreeNode | undefined {
    // From the root down, so that ".." is the previous one.
    const way = [this.root];
    const pending = path.split("/").reverse();
    for (let hops = 0; pending.length > 0; ) {
      const name = pending.pop()!;
      if (way.at(-1)!.entry.kind === "file") return undefined;
      if (name === "" || name === ".") continue;
      if (name === "..") {
        if (way.length > 1) way.pop();
        continue;
      }
      const next = way.at(-1)!.children.get(name);
      if (next === undefined) return undefined;
      if (next.entry.kind === "symlink") {
        hops += 1;
        if (hops > MAX_HOPS) return undefined;
        pending.push(...next.entry.target.split("/").reverse());
      } else {
        way.push(next);
      }
    }
    return way.at(-1);
  }
}
