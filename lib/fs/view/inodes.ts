/**
 * Which inode is which node of which release. An inode stands for one path with one content: when the release is
 * switched, what has not changed keeps its number, and what has gets a new one, so that the kernel never has pages of
 * two contents under one number. Directories keep theirs.
 *
 * What a switch takes out of the tree is still answered for as long as the transport retains it: somebody has it open.
 */

import type { Release } from "../../source/source.ts";
import type { Chunk, Tree, TreeEntry, TreeFile, TreeNode } from "../../tree/tree.ts";
import { type Inode, ROOT_INODE } from "./filesystem.ts";

/** A verified release as it is served. */
export interface ServedRelease {
  readonly tree: Tree;
  /** Proved anew from time to time. */
  release: Release;
}

export interface Located {
  readonly node: TreeNode;
  readonly served: ServedRelease;
  /** When the release came that has made it what it is, in nanoseconds since 1970. */
  readonly since: bigint;
}

/** Between two pauses of `prepare`: a millisecond or two. */
const NODES_PER_STEP = 2000;

export class Inodes {
  #served: ServedRelease;
  /** The inode of each node of the current tree, by the node's index. */
  #numbers: Float64Array;
  /** `since` of each of them. */
  #since: BigUint64Array;
  /** The current tree's nodes. */
  #current: Map<Inode, TreeNode>;
  #last: Inode;
  readonly #retained = new Set<Inode>();
  /** What is retained and in the current tree no more. */
  readonly #gone = new Map<Inode, Located>();

  constructor(served: ServedRelease) {
    const { nodes } = served.tree;
    this.#served = served;
    this.#numbers = Float64Array.from(nodes, ({ index }) => index + ROOT_INODE);
    this.#since = new BigUint64Array(nodes.length).fill(timeOf(served));
    this.#current = new Map(nodes.map((node) => [node.index + ROOT_INODE, node]));
    this.#last = nodes.length - 1 + ROOT_INODE;
  }

  get served(): ServedRelease {
    return this.#served;
  }

  /** How many inodes are held that are in no current tree. */
  get outdated(): number {
    return this.#gone.size;
  }

  /** @param node of the current tree */
  of(node: TreeNode): Inode {
    return this.#numbers[node.index]!;
  }

  get(inode: Inode): Located | undefined {
    const node = this.#current.get(inode);
    return node === undefined ? this.#gone.get(inode) : this.#located(node);
  }

  #located(node: TreeNode): Located {
    return { node, served: this.#served, since: this.#since[node.index]! };
  }

  isCurrent(inode: Inode): boolean {
    return this.#current.has(inode);
  }

  retain(inode: Inode): void {
    this.#retained.add(inode);
  }

  forget(inode: Inode): void {
    this.#retained.delete(inode);
    this.#gone.delete(inode);
  }

  /**
   * Finds out what `next` has in common with the current tree, in steps, so that readers need not wait; returns what
   * makes it the current one, all at once. There must be no other switch in between.
   */
  *prepare(next: ServedRelease): Generator<void, () => void> {
    const numbers = new Float64Array(next.tree.nodes.length);
    // What nothing below says otherwise of is new, or another one.
    const since = new BigUint64Array(next.tree.nodes.length).fill(timeOf(next));
    const current = new Map<Inode, TreeNode>();
    let last = this.#last;
    const add = (node: TreeNode, inode: Inode) => {
      numbers[node.index] = inode;
      current.set(inode, node);
    };
    add(next.tree.root, ROOT_INODE);
    const pending: [after: TreeNode, before: TreeNode | undefined][] = [
      [next.tree.root, this.#served.tree.root],
    ];
    for (let pair = pending.pop(); pair !== undefined; pair = pending.pop()) {
      const [after, before] = pair;
      let isSameListing = after.children.size === before?.children.size;
      for (const [name, node] of after.children) {
        const old = before?.children.get(name);
        const same = old !== undefined && isSame(old, this.#served.tree, node, next.tree);
        if (!same) {
          last += 1;
          isSameListing = false;
        }
        add(node, same ? this.of(old) : last);
        if (node.entry.kind === "directory") pending.push([node, same ? old : undefined]);
        else if (same && haveSameAttributes(old.entry, node.entry))
          since[node.index] = this.#since[old.index]!;
        if (current.size % NODES_PER_STEP === 0) yield;
      }
      if (isSameListing && before !== undefined && haveSameAttributes(before.entry, after.entry)) {
        since[after.index] = this.#since[before.index]!;
      }
    }
    return () => {
      for (const inode of this.#retained) {
        const node = this.#current.get(inode);
        if (node !== undefined && !current.has(inode)) {
          this.#gone.set(inode, this.#located(node));
        }
      }
      this.#served = next;
      this.#numbers = numbers;
      this.#since = since;
      this.#current = current;
      this.#last = last;
    };
  }
}

/** When a release came, in nanoseconds since 1970: the time of its root, or, where nobody keeps it, that of who says what is there. */
function timeOf({ tree, release }: ServedRelease): bigint {
  const root = tree.root.entry.modified;
  if (release.number !== undefined) return root;
  const seen = BigInt(release.certifiedAt.getTime()) * 1_000_000n;
  return seen > root ? seen : root;
}

/** Of two nodes with one inode: what stat(2) says beside times of change. */
function haveSameAttributes(a: TreeEntry, b: TreeEntry): boolean {
  const isExecutable = (entry: TreeEntry) => entry.kind === "file" && entry.executable;
  return a.modified === b.modified && isExecutable(a) === isExecutable(b);
}

/** Whether two nodes of one path have the same content; times and the executable bit are not content. */
function isSame(a: TreeNode, treeA: Tree, b: TreeNode, treeB: Tree): boolean {
  if (a.entry.kind === "directory") return b.entry.kind === "directory";
  if (a.entry.kind === "symlink") return b.entry.kind === "symlink" && a.entry.target === b.entry.target;
  return b.entry.kind === "file" && haveSameBytes(a.entry, treeA, b.entry, treeB);
}

/** By the extents: a file's own SHA-256 is the publisher's word until all of it has been read. */
function haveSameBytes(a: TreeFile, treeA: Tree, b: TreeFile, treeB: Tree): boolean {
  return (
    a.size === b.size &&
    a.extents.length === b.extents.length &&
    a.extents.every((extent, i) => {
      const other = b.extents[i]!;
      return (
        extent.offset === other.offset &&
        extent.length === other.length &&
        isSameChunk(treeA.known(treeA.chunks[extent.chunk]!), treeB.known(treeB.chunks[other.chunk]!))
      );
    })
  );
}

/** One whose hash is not known is the same as itself only: sources go on using the chunks of what has not changed. */
function isSameChunk(a: Chunk, b: Chunk): boolean {
  if (a === b) return true;
  return a.sha256 !== undefined && b.sha256 !== undefined && Buffer.compare(a.sha256, b.sha256) === 0;
}
