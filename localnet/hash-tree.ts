/**
 * The IC's labelled hash trees (interface specification, "Certificate"): builds them, hashes them, and cuts out the part that
 * proves which values are, and are not, at some paths.
 *
 * Nodes never change and remember their hash, so trees that share subtrees share the work.
 */
import { hash } from "node:crypto";

export type Label = Uint8Array;
export type Path = readonly Label[];

export type HashTree =
  | { readonly kind: "empty"; readonly hash: Buffer }
  | { readonly kind: "fork"; readonly left: HashTree; readonly right: HashTree; readonly hash: Buffer }
  | { readonly kind: "labeled"; readonly label: Label; readonly subtree: HashTree; readonly hash: Buffer }
  | { readonly kind: "leaf"; readonly value: Uint8Array; readonly hash: Buffer }
  | { readonly kind: "pruned"; readonly hash: Buffer };

/** A tree in the specification's CBOR encoding. */
export type EncodedTree =
  | [0]
  | [1, EncodedTree, EncodedTree]
  | [2, Label, EncodedTree]
  | [3, Uint8Array]
  | [4, Uint8Array];

/** A domain separator: one byte of length, then the name. */
export function domain(name: string): Buffer {
  return Buffer.concat([Buffer.of(name.length), Buffer.from(name)]);
}

const EMPTY_DOMAIN = domain("ic-hashtree-empty");
const FORK_DOMAIN = domain("ic-hashtree-fork");
const LABELED_DOMAIN = domain("ic-hashtree-labeled");
const LEAF_DOMAIN = domain("ic-hashtree-leaf");

function sha256(...parts: Uint8Array[]): Buffer {
  return hash("sha256", Buffer.concat(parts), "buffer");
}

export const EMPTY: HashTree = { kind: "empty", hash: sha256(EMPTY_DOMAIN) };

export function leaf(value: Uint8Array): HashTree {
  return { kind: "leaf", value, hash: sha256(LEAF_DOMAIN, value) };
}

export function fork(left: HashTree, right: HashTree): HashTree {
  return { kind: "fork", left, right, hash: sha256(FORK_DOMAIN, left.hash, right.hash) };
}

export function labeled(label: Label | string, subtree: HashTree): HashTree {
  const bytes = typeof label === "string" ? Buffer.from(label) : label;
  return { kind: "labeled", label: bytes, subtree, hash: sha256(LABELED_DOMAIN, bytes, subtree.hash) };
}

/** A tree with these labels, which may come in any order and must differ from each other. */
export function labels(entries: Iterable<readonly [Label | string, HashTree]>): HashTree {
  const nodes = Array.from(entries, ([label, subtree]) => labeled(label, subtree));
  nodes.sort((a, b) => Buffer.compare(labelOf(a), labelOf(b)));
  return balanced(nodes);
}

/** Joins trees whose labels are in order. */
export function balanced(nodes: readonly HashTree[]): HashTree {
  if (nodes.length === 0) return EMPTY;
  if (nodes.length === 1) return nodes[0]!;
  const middle = Math.ceil(nodes.length / 2);
  return fork(balanced(nodes.slice(0, middle)), balanced(nodes.slice(middle)));
}

function labelOf(node: HashTree): Label {
  if (node.kind !== "labeled") throw new Error(`a ${node.kind} node has no label`);
  return node.label;
}

/**
 * Cuts out the proof for these paths: below an existing path everything stays; for a missing path,
 * the labels next to its place stay. Everything else is replaced by its hash, so the root hash is the same.
 */
export function witness(tree: HashTree, paths: readonly Path[]): HashTree {
  if (paths.length === 0) return pruned(tree);
  if (paths.some((path) => path.length === 0)) return tree;
  switch (tree.kind) {
    case "fork": {
      const lastLeft = edge(tree.left, "right");
      const firstRight = edge(tree.right, "left");
      // A label in the gap between the two halves is proved absent by its neighbours, one in each.
      const left = paths.filter((path) => Buffer.compare(path[0]!, firstRight) < 0);
      const right = paths.filter((path) => Buffer.compare(path[0]!, lastLeft) > 0);
      return fork(witness(tree.left, left), witness(tree.right, right));
    }
    case "labeled": {
      const below = paths
        .filter((path) => Buffer.compare(path[0]!, tree.label) === 0)
        .map((path) => path.slice(1));
      return labeled(tree.label, witness(tree.subtree, below));
    }
    default:
      // Empty, or a leaf where the path continues: showing it proves that nothing is below.
      return tree;
  }
}

/** The same tree, with a path hidden, including its existence. */
export function withoutPath(tree: HashTree, [label, ...below]: Path): HashTree {
  if (tree.kind === "fork") {
    const path = [label!, ...below];
    return fork(withoutPath(tree.left, path), withoutPath(tree.right, path));
  }
  if (tree.kind !== "labeled" || Buffer.compare(tree.label, label!) !== 0) return tree;
  return below.length === 0 ? pruned(tree) : labeled(tree.label, withoutPath(tree.subtree, below));
}

function pruned(tree: HashTree): HashTree {
  return tree.kind === "empty" ? tree : { kind: "pruned", hash: tree.hash };
}

/** The first or last label of a tree. */
function edge(tree: HashTree, side: "left" | "right"): Label {
  let node = tree;
  while (node.kind === "fork") node = node[side];
  return labelOf(node);
}

/** The value at a path, or undefined when there is no leaf. */
export function lookup(tree: HashTree, path: Path): Uint8Array | undefined {
  if (tree.kind === "fork") return lookup(tree.left, path) ?? lookup(tree.right, path);
  if (path.length === 0) return tree.kind === "leaf" ? tree.value : undefined;
  if (tree.kind !== "labeled" || Buffer.compare(tree.label, path[0]!) !== 0) return undefined;
  return lookup(tree.subtree, path.slice(1));
}

/** The tree as the value that CBOR encodes. */
export function encodeTree(tree: HashTree): EncodedTree {
  switch (tree.kind) {
    case "empty":
      return [0];
    case "fork":
      return [1, encodeTree(tree.left), encodeTree(tree.right)];
    case "labeled":
      return [2, tree.label, encodeTree(tree.subtree)];
    case "leaf":
      return [3, tree.value];
    case "pruned":
      return [4, tree.hash];
  }
}
