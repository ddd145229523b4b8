/** A release's tree, for looking things up: nodes by number, names in directories. Made from a checked manifest. */
import { atOnce } from "../steps.ts";
import type { ChunkReference, Entry, Manifest } from "./manifest.ts";
import { baseName, MAX_HOPS, parentPath } from "./rules.ts";

export interface TreeNode {
  /** The node's number: 0 for the root, then in the manifest's order. */
  readonly index: number;
  readonly entry: Entry;
  /** A directory's nodes by name, in path order; empty for what is none. */
  readonly children: ReadonlyMap<string, TreeNode>;
  /** How many of the children are directories. */
  readonly subdirectories: number;
}

class MutableNode implements TreeNode {
  readonly index: number;
  readonly entry: Entry;
  readonly children: Map<string, TreeNode>;
  subdirectories = 0;

  constructor(index: number, entry: Entry) {
    this.index = index;
    this.entry = entry;
    this.children = entry.kind === "directory" ? new Map() : NO_CHILDREN;
  }
}

/** Shared by all that are no directory, and never added to. */
const NO_CHILDREN: Map<string, TreeNode> = new Map();

/** Between two pauses: about a millisecond. */
const ENTRIES_PER_STEP = 1000;

export class Tree {
  readonly root: TreeNode;
  readonly nodes: readonly TreeNode[];
  readonly chunks: readonly ChunkReference[];
  /** Bytes of all files together. */
  readonly bytes: number;

  private constructor(nodes: readonly TreeNode[], chunks: readonly ChunkReference[], bytes: number) {
    this.root = nodes[0]!;
    this.nodes = nodes;
    this.chunks = chunks;
    this.bytes = bytes;
  }

  /** @param modified the root's time in nanoseconds since 1970: no manifest lists the root */
  static of(manifest: Manifest, modified: bigint): Tree {
    return atOnce(Tree.growing(manifest, modified));
  }

  /** of(), in steps. */
  static *growing(manifest: Manifest, modified: bigint): Generator<void, Tree> {
    const root = new MutableNode(0, { kind: "directory", path: "", modified });
    const directories = new Map([["", root]]);
    const nodes = [root];
    let bytes = 0;
    for (const entry of manifest.entries) {
      const node = new MutableNode(nodes.length, entry);
      nodes.push(node);
      const parent = directories.get(parentPath(entry.path))!;
      parent.children.set(baseName(entry.path), node);
      if (entry.kind === "file") bytes += entry.size;
      if (entry.kind === "directory") {
        parent.subdirectories += 1;
        directories.set(entry.path, node);
      }
      if (nodes.length % ENTRIES_PER_STEP === 0) yield;
    }
    return new Tree(nodes, manifest.chunks, bytes);
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
