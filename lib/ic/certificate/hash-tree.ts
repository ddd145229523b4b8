/**
 * IC hash trees (IC interface specification, "Certificate", "Encoding of certificates"): decodes them from untrusted CBOR, computes their
 * root hash, and looks up paths. Only allBelow() can show that a label is absent: where nothing is pruned, whatever the order of labels.
 */

import { hash } from "node:crypto";
import { FormatError } from "../../errors.ts";
import { CborReader } from "./cbor-reader.ts";

export type HashTree =
  | { readonly kind: "empty" }
  | { readonly kind: "fork"; readonly left: HashTree; readonly right: HashTree }
  | { readonly kind: "labelled"; readonly label: Buffer; readonly subtree: HashTree }
  | { readonly kind: "leaf"; readonly value: Buffer }
  | { readonly kind: "pruned"; readonly hash: Buffer };

/** Limit on levels: a witness for one path has one for each label and fork. */
const MAX_DEPTH = 100;

/** Limits on a witness, which has few nodes beside its path. It is decoded and hashed in one step, before anything is verified. */
const MAX_NODES = 1000;
const MAX_BYTES = 64 * 1024;

/** Decodes a witness. @throws FormatError, also when it is larger than one for a path */
export function decodeHashTree(cbor: Uint8Array): HashTree {
  if (cbor.length > MAX_BYTES) throw new FormatError(`a hash tree of ${cbor.length} bytes`);
  const reader = new CborReader(cbor);
  const tree = readNode(reader, 0, { nodes: 0, most: MAX_NODES });
  reader.end();
  return tree;
}

/** Reads a tree inside of something else, whose size is bounded (certificate-form.ts). @throws FormatError */
export function readHashTree(reader: CborReader): HashTree {
  return readNode(reader, 0, { nodes: 0, most: Number.POSITIVE_INFINITY });
}

function readNode(reader: CborReader, depth: number, read: { nodes: number; most: number }): HashTree {
  read.nodes += 1;
  if (read.nodes > read.most) throw new FormatError(`a hash tree of more than ${read.most} nodes`);
  if (depth > MAX_DEPTH) throw new FormatError("a hash tree nested too deeply");
  const length = reader.array();
  const tag = length > 0 ? reader.unsigned() : -1;
  if (tag === 0 && length === 1) return { kind: "empty" };
  if (tag === 1 && length === 3) {
    return {
      kind: "fork",
      left: readNode(reader, depth + 1, read),
      right: readNode(reader, depth + 1, read),
    };
  }
  if (tag === 2 && length === 3) {
    return { kind: "labelled", label: reader.bytes(), subtree: readNode(reader, depth + 1, read) };
  }
  if (tag === 3 && length === 2) return { kind: "leaf", value: reader.bytes() };
  if (tag === 4 && length === 2) {
    const hash = reader.bytes();
    if (hash.length !== 32) throw new FormatError("a pruned hash tree without a hash");
    return { kind: "pruned", hash };
  }
  throw new FormatError("an unknown kind of hash tree node");
}

/** The tree's root hash: what a canister sets as its certified data. */
export function rootHash(tree: HashTree): Buffer {
  switch (tree.kind) {
    case "empty":
      return digest("ic-hashtree-empty");
    case "fork":
      return digest("ic-hashtree-fork", rootHash(tree.left), rootHash(tree.right));
    case "labelled":
      return digest("ic-hashtree-labeled", tree.label, rootHash(tree.subtree));
    case "leaf":
      return digest("ic-hashtree-leaf", tree.value);
    case "pruned":
      return tree.hash;
  }
}

/** SHA-256 of a node's content, with the domain separator of its kind. */
export function digest(domain: string, ...parts: Uint8Array[]): Buffer {
  return hash(
    "sha256",
    Buffer.concat([Buffer.from([domain.length]), Buffer.from(domain), ...parts]),
    "buffer",
  );
}

/** Labels, from the root downwards. */
export type Path = readonly (string | Uint8Array)[];

/** The leaf at `path`, or undefined when the tree does not show one there (which proves nothing). */
export function lookupLeaf(tree: HashTree, path: Path): Buffer | undefined {
  const found = lookupTree(tree, path);
  return found?.kind === "leaf" ? found.value : undefined;
}

/** What is at `path`, or undefined when the tree shows no such labels (which proves nothing). */
export function lookupTree(tree: HashTree, path: Path): HashTree | undefined {
  const [label, ...rest] = path;
  if (label === undefined) return tree;
  if (tree.kind === "fork") return lookupTree(tree.left, path) ?? lookupTree(tree.right, path);
  if (tree.kind === "labelled" && tree.label.equals(Buffer.from(label)))
    return lookupTree(tree.subtree, rest);
  return undefined;
}

/** The labels directly below a tree's root, with what is below each; undefined when some are not shown. */
export function allBelow(tree: HashTree): (readonly [label: Buffer, subtree: HashTree])[] | undefined {
  switch (tree.kind) {
    case "empty":
      return [];
    case "labelled":
      return [[tree.label, tree.subtree]];
    case "fork": {
      const left = allBelow(tree.left);
      const right = left && allBelow(tree.right);
      return right && [...left, ...right];
    }
    default:
      return undefined;
  }
}
