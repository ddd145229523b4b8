/** A release's tree, for looking things up: nodes by number, names in directories. */
import { atOnce } from "../steps.ts";
import { hexOf } from "./hash.ts";
import { MAX_HOPS } from "./limits.ts";
import type { ChunkReference, DirectoryEntry, Extent, SymlinkEntry } from "./manifest.ts";
import { baseName, parentPath } from "./rules.ts";

/**
 * A piece of a tree's bytes, which files' extents point into: a manifest's chunk, or a part of one file. It never changes: where no
 * manifest says what a chunk hashes to, it becomes known as another one, with its hash, once it has been fetched (Tree.known).
 */
export type Chunk = ChunkReference | NamedChunk;

export interface NamedChunk {
  readonly sha256: undefined;
  /** Tells chunks apart whose hashes are not known. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

/** A chunk's bytes, which have its hash. */
export interface VerifiedChunk {
  readonly chunk: ChunkReference;
  readonly bytes: Buffer;
}

/** What a chunk is called in caches: its SHA-256 in hexadecimal, or its name while that is not known. */
export function keyOf(chunk: Chunk): string {
  return chunk.sha256 === undefined ? chunk.name : hexOf(chunk.sha256);
}

/** Chunks for readers (lib/cache). */
export interface Chunks {
  /** The chunk's verified bytes. Rejects when they cannot be had in time. */
  get(reference: Chunk): Promise<Buffer>;
  /** Asks for a chunk that will probably be read soon. */
  prefetch(reference: Chunk): void;
}

/** A file in a tree: a manifest's file entry is one. */
export interface TreeFile {
  readonly kind: "file";
  /** Relative to the root, with `/`. */
  readonly path: string;
  /** Nanoseconds since 1970. */
  readonly modified: bigint;
  /** Bytes. */
  readonly size: number;
  /** Undefined where nothing says it, until all of the file has been read. */
  readonly sha256: Uint8Array | undefined;
  readonly executable: boolean;
  readonly extents: readonly Extent[];
  /** Told the hash, where `sha256` is undefined, by whoever has read all of it. */
  readonly learn?: (sha256: Buffer) => void;
  /**
   * Set by whoever has read all of it, and found that it has this hash. A manifest's certificate proves what chunks a file is made of; its
   * own hash is the publisher's word until then.
   */
  checked?: boolean;
}

export type TreeEntry = DirectoryEntry | SymlinkEntry | TreeFile;

/** Bytes, as stat has them: a file's length, a symlink's target in UTF-8, 0 for a directory. */
export function entrySize(entry: TreeEntry): number {
  if (entry.kind === "file") return entry.size;
  return entry.kind === "symlink" ? Buffer.byteLength(entry.target) : 0;
}

/** What a tree is made from: a checked manifest, or what other canisters list. */
export interface TreeContent {
  readonly chunks: readonly Chunk[];
  /** Sorted by the UTF-8 bytes of their paths, so that a directory comes before what is in it. */
  readonly entries: readonly TreeEntry[];
  /** As Tree.known(). Default: nothing more becomes known of any chunk. */
  readonly known?: (chunk: Chunk) => Chunk;
}

export interface TreeNode {
  /** The node's number: 0 for the root, then in the order of the entries. */
  readonly index: number;
  readonly entry: TreeEntry;
  /** A directory's nodes by name, in path order; empty for what is none. */
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

/** A node with nothing below it any more: its release is gone. */
export function withoutChildren({ index, entry, subdirectories }: TreeNode): TreeNode {
  return { index, entry, children: NO_CHILDREN, subdirectories };
}

/** Shared by all that are no directory, and never added to. */
const NO_CHILDREN: Map<string, TreeNode> = new Map();

/** Between two pauses: about a millisecond. */
const ENTRIES_PER_STEP = 1000;

function itself(chunk: Chunk): Chunk {
  return chunk;
}

export class Tree {
  readonly root: TreeNode;
  readonly nodes: readonly TreeNode[];
  readonly chunks: readonly Chunk[];
  readonly files: number;
  /** Bytes of all files together. */
  readonly bytes: number;
  /** What a chunk is known to be by now: itself, or, of one that was listed without a hash and has been fetched, one with it. */
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

  /** @param modified the root's time in nanoseconds since 1970: no listing has the root */
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

  /** A tree of nothing, with what the extents of this one's files point into: for a file that is still read when its release is gone. */
  withoutNodes(): Tree {
    const root = new MutableNode(0, { kind: "directory", path: "", modified: this.root.entry.modified });
    return new Tree([root], { chunks: this.chunks, entries: [], known: this.known }, { files: 0, bytes: 0 });
  }

  /**
   * The node at `path`, relative to the root ("" is the root; slashes in front do not matter), found as the kernel does:
   * symlinks are followed, the last one too, and a file has nothing below it, not even `.`.
   */
  find(path: string): TreeNode | undefined {
    // From the root down, so that ".." is the one before.
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
