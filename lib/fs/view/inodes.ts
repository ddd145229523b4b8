/**
 * Maps inodes to nodes of releases. An inode stands for one path with one content: when the release is
 * switched, an unchanged file keeps its number, and a changed one gets a new one, so that the kernel never has pages of
 * two contents under one number. Directories keep theirs.
 *
 * An inode that a switch removes from the tree is still answered while the transport retains it: somebody has it open.
 *
 * A name on which something is mounted keeps its meaning until that is unmounted: the kernel silently removes a mount
 * as soon as the name under it is gone or means another inode.
 */

import type { Release } from "../../source/source.ts";
import { parentPath } from "../../tree/rules.ts";
import {
  type Chunk,
  type Tree,
  type TreeEntry,
  type TreeFile,
  type TreeNode,
  withoutChildren,
} from "../../tree/tree.ts";
import { type Dirent, type Inode, ROOT_INODE } from "./filesystem.ts";

/** A verified release as it is served. */
export interface ServedRelease {
  readonly tree: Tree;
  /** Renewed from time to time. */
  release: Release;
}

export interface Located {
  readonly node: TreeNode;
  readonly served: ServedRelease;
  /** When the release appeared that last changed it, in nanoseconds since 1970. */
  readonly since: bigint;
}

/**
 * Makes another release the current one, all at once.
 *
 * @param mountedOn paths in the tree on which something is mounted
 * @returns those of them that the new tree lacks, or that differ there: they keep their old meaning
 */
export type Swap = (mountedOn: readonly string[]) => string[];

/** A name on the way to a path. */
interface Step {
  readonly directory: Inode;
  readonly name: string;
  readonly inode: Inode;
  readonly located: Located;
}

interface Way {
  readonly path: string;
  readonly steps: readonly Step[];
}

/** Between two pauses of `prepare`: a millisecond or two. */
const NODES_PER_STEP = 2000;

/** Names in a directory. Smaller listings are not worth remembering. */
const LARGE_LISTING = 100;

/** Gives out inode numbers, each once. */
export type NextInode = () => Inode;

/** The numbers of a file system that is alone in its mount. */
function numbersFromRoot(): NextInode {
  let last = ROOT_INODE - 1;
  return () => {
    last += 1;
    return last;
  };
}

export class Inodes {
  /** Of the root directory, whichever release is live. */
  readonly root: Inode;
  readonly #next: NextInode;
  #served: ServedRelease;
  /** The inode of each node of the current tree, by the node's index. */
  #numbers: Float64Array;
  /** `since` of each of them. */
  #since: BigUint64Array;
  /** The current tree's nodes. */
  #current: Map<Inode, TreeNode>;
  readonly #retained = new Set<Inode>();
  /** Inodes that are retained, but no longer in the current tree. */
  readonly #gone = new Map<Inode, Located>();
  /** Names that differ from the current tree, by their directories, since something is mounted there. */
  readonly #held = new Map<Inode, Map<string, Inode>>();
  /** Their meanings. */
  readonly #heldInodes = new Map<Inode, Located>();
  /** Listings of large directories, for as long as somebody holds them. */
  readonly #listings = new Map<Inode, WeakRef<Dirent[]>>();

  /** @param next where several share a mount, numbers that are nobody else's; default: from ROOT_INODE, which is the root's */
  constructor(served: ServedRelease, next: NextInode = numbersFromRoot()) {
    const { nodes } = served.tree;
    this.#next = next;
    this.#served = served;
    this.#numbers = Float64Array.from(nodes, () => next());
    this.root = this.#numbers[0]!;
    this.#since = new BigUint64Array(nodes.length).fill(timeOf(served));
    this.#current = new Map(nodes.map((node) => [this.of(node), node]));
  }

  get served(): ServedRelease {
    return this.#served;
  }

  /** How many inodes are held that are not in the current tree. */
  get outdated(): number {
    return this.#gone.size;
  }

  /** @param node of the current tree */
  of(node: TreeNode): Inode {
    return this.#numbers[node.index]!;
  }

  get(inode: Inode): Located | undefined {
    return this.#present(inode) ?? this.#gone.get(inode);
  }

  /** In the current tree, or held. */
  #present(inode: Inode): Located | undefined {
    const node = this.#current.get(inode);
    return node === undefined ? this.#heldInodes.get(inode) : this.#located(node);
  }

  #located(node: TreeNode): Located {
    return { node, served: this.#served, since: this.#since[node.index]! };
  }

  /** What a name means in a directory. */
  child(directory: Inode, name: string): Inode | undefined {
    return this.#held.get(directory)?.get(name) ?? this.#listed(directory, name);
  }

  /** The parent directory, present or former; if that is gone, the nearest one above it. */
  parent({ node }: Located): Inode {
    let directory = this.root;
    for (const name of parentPath(node.entry.path).split("/")) {
      const inode = this.child(directory, name);
      if (inode === undefined || this.get(inode)?.node.entry.kind !== "directory") break;
      directory = inode;
    }
    return directory;
  }

  /**
   * All names in a directory. A directory that is no longer in the tree is empty, like one that was removed while somebody works in it.
   * Concurrent listings of a large directory share one array, since each would take megabytes.
   */
  children(directory: Inode): readonly Dirent[] {
    const before = this.#listings.get(directory)?.deref();
    if (before !== undefined) return before;
    const listing = this.#children(directory);
    if (listing.length > LARGE_LISTING) this.#listings.set(directory, new WeakRef(listing));
    return listing;
  }

  #children(directory: Inode): Dirent[] {
    const listed = Array.from(this.#current.get(directory)?.children ?? [], ([name, node]) => ({
      name,
      inode: this.of(node),
      kind: node.entry.kind,
    }));
    const held = this.#held.get(directory);
    if (held === undefined) return listed;
    const others = Array.from(held, ([name, inode]) => {
      const { node } = this.#heldInodes.get(inode)!;
      return { name, inode, kind: node.entry.kind };
    });
    return [...listed.filter(({ name }) => !held.has(name)), ...others];
  }

  /**
   * Names that differ from the current tree, because something was mounted there, follow it again, except for those on which
   * something is still mounted.
   *
   * @returns the paths that still differ
   */
  stillMountedOn(paths: readonly string[]): string[] {
    return this.#hold(this.#ways(paths));
  }

  #listed(directory: Inode, name: string): Inode | undefined {
    const node = this.#current.get(directory)?.children.get(name);
    return node && this.of(node);
  }

  /** The meaning of each name on the way to each path. */
  #ways(paths: readonly string[]): Way[] {
    return paths.map((path) => {
      const steps: Step[] = [];
      let directory = this.root;
      for (const name of path.split("/")) {
        const inode = this.child(directory, name);
        if (inode === undefined) break;
        steps.push({ directory, name, inode, located: this.get(inode)! });
        directory = inode;
      }
      return { path, steps };
    });
  }

  /** Keeps the names on these ways that differ from the current tree, and no others. @returns the paths that have such names */
  #hold(ways: readonly Way[]): string[] {
    this.#listings.clear();
    this.#held.clear();
    this.#heldInodes.clear();
    const differs = ({ directory, name, inode }: Step) => this.#listed(directory, name) !== inode;
    const held = ways.filter(({ steps }) => steps.some(differs));
    for (const step of held.flatMap(({ steps }) => steps.filter(differs))) {
      const names = this.#held.get(step.directory) ?? new Map<string, Inode>();
      this.#held.set(step.directory, names.set(step.name, step.inode));
      this.#heldInodes.set(step.inode, step.located);
    }
    return held.map(({ path }) => path);
  }

  retain(inode: Inode): void {
    this.#retained.add(inode);
  }

  forget(inode: Inode): void {
    this.#retained.delete(inode);
    this.#gone.delete(inode);
  }

  /**
   * Compares `next` with the current tree, in steps, so that readers need not wait. Returns a function that
   * makes it the current one, all at once. There must be no other switch in between.
   */
  *prepare(next: ServedRelease): Generator<void, Swap> {
    const numbers = new Float64Array(next.tree.nodes.length);
    // By default, a node is new, or has changed.
    const since = new BigUint64Array(next.tree.nodes.length).fill(timeOf(next));
    const current = new Map<Inode, TreeNode>();
    const add = (node: TreeNode, inode: Inode) => {
      numbers[node.index] = inode;
      current.set(inode, node);
    };
    add(next.tree.root, this.root);
    const pending: [after: TreeNode, before: Inode | undefined][] = [[next.tree.root, this.root]];
    for (let pair = pending.pop(); pair !== undefined; pair = pending.pop()) {
      const [after, before] = pair;
      const was = before === undefined ? undefined : this.get(before);
      let isSameListing = after.children.size === was?.node.children.size;
      for (const [name, node] of after.children) {
        const inode = before === undefined ? undefined : this.child(before, name);
        const old = inode === undefined ? undefined : this.get(inode);
        const same = old !== undefined && isSame(old.node, old.served.tree, node, next.tree);
        if (!same) isSameListing = false;
        add(node, same ? inode! : this.#next());
        if (node.entry.kind === "directory") pending.push([node, same ? inode : undefined]);
        else if (same && haveSameAttributes(old.node.entry, node.entry)) since[node.index] = old.since;
        if (current.size % NODES_PER_STEP === 0) yield;
      }
      if (isSameListing && was !== undefined && haveSameAttributes(was.node.entry, after.entry)) {
        since[after.index] = was.since;
      }
    }
    const leaving = new Map<Inode, Located>();
    let looked = 0;
    for (const inode of this.#retained) {
      const located = current.has(inode) ? undefined : this.#present(inode);
      if (located !== undefined) leaving.set(inode, alone(located));
      looked += 1;
      if (looked % NODES_PER_STEP === 0) yield;
    }
    return (mountedOn) => {
      const ways = this.#ways(mountedOn);
      for (const inode of this.#retained) {
        const located = current.has(inode) ? undefined : this.#present(inode);
        // Some have been retained since.
        if (located !== undefined) this.#gone.set(inode, leaving.get(inode) ?? alone(located));
      }
      for (const inode of this.#gone.keys()) if (current.has(inode)) this.#gone.delete(inode);
      this.#served = next;
      this.#numbers = numbers;
      this.#since = since;
      this.#current = current;
      return this.#hold(ways);
    };
  }
}

/** What is still needed when its release is gone. Readers may hold a file of every past release, and must not keep all of their trees. */
function alone({ node, served: { release, tree }, since }: Located): Located {
  const { entry } = node;
  if (entry.kind !== "file") {
    return { node: withoutChildren(node), served: { release, tree: tree.emptied() }, since };
  }
  const kept = tree.alone(entry);
  return {
    node: { ...withoutChildren(node), entry: kept.file },
    served: { release, tree: kept.tree },
    since,
  };
}

/**
 * When a release appeared, in nanoseconds since 1970: the time of its root. A listed tree, which has no number, may have changed without
 * its root: it appeared when the list was certified, if that is later.
 */
function timeOf({ tree, release }: ServedRelease): bigint {
  const root = tree.root.entry.modified;
  if (release.number !== undefined) return root;
  const seen = BigInt(release.certifiedAt.getTime()) * 1_000_000n;
  return seen > root ? seen : root;
}

/** For two nodes with one inode: whether stat(2) shows the same, except for times of change. */
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

/** Compares their chunks, and their hashes, since small files move to other chunks when a neighbour changes. */
function haveSameBytes(a: TreeFile, treeA: Tree, b: TreeFile, treeB: Tree): boolean {
  if (a.size !== b.size) return false;
  if (haveSameHash(a, b)) return true;
  return (
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

/** Whether they are known to be equal, because both have been read. */
function haveSameHash(a: TreeFile, b: TreeFile): boolean {
  if (a.sha256 === undefined || b.sha256 === undefined || !a.checked || !b.checked) return false;
  return Buffer.compare(a.sha256, b.sha256) === 0;
}

/** A chunk without a known hash equals only itself: sources keep using the chunks of unchanged files. */
function isSameChunk(a: Chunk, b: Chunk): boolean {
  if (a === b) return true;
  return a.sha256 !== undefined && b.sha256 !== undefined && Buffer.compare(a.sha256, b.sha256) === 0;
}
