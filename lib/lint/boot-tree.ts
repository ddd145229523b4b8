/** A tree as boot loaders see it: files by path, links followed, and the bytes of each. */
import { LRUCache } from "lru-cache";
import type { Tree, TreeFile, TreeNode } from "../tree/tree.ts";

/** A file's bytes from `from` on, in order. */
export type ReadFile = (file: TreeFile, from: number) => AsyncIterable<Uint8Array>;

/** A configuration that is longer is none. */
const MAX_CONFIG_BYTES = 1024 * 1024;
/** Bytes of a line: no loader reads longer ones. */
const MAX_LINE = 16 * 1024;
/** Of all configurations, those that are included again and again counted each time. Who has more has made it to be slow. */
const MAX_LINES = 5_000_000;
/** Characters of configurations that are kept, for the next time one is included. */
const MAX_KEPT = 16 * 1024 * 1024;
/** Of what is compressed, all together. */
const MAX_UNPACKED_BYTES = 32 * 1024 ** 3;

export class BootTree {
  readonly tree: Tree;
  readonly #read: ReadFile;
  /** Bytes that may still be unpacked: hostile archives would go on for days. */
  unpackable = MAX_UNPACKED_BYTES;
  #linesLeft = MAX_LINES;
  readonly #configs = new LRUCache<string, readonly string[]>({ maxSize: MAX_KEPT });
  /** For each directory's node, its names by their lower-case form. */
  readonly #lowerCase = new Map<TreeNode, ReadonlyMap<string, string>>();

  constructor(tree: Tree, read: ReadFile) {
    this.tree = tree;
    this.#read = read;
  }

  /** All files, in path order; links are left out. */
  *files(): Generator<TreeFile> {
    for (const { entry } of this.tree.nodes) if (entry.kind === "file") yield entry;
  }

  /** The file to which `path` leads, through links. */
  file(path: string): TreeFile | undefined {
    const entry = this.tree.find(path)?.entry;
    return entry?.kind === "file" ? entry : undefined;
  }

  /** The path of something whose name differs from `path` only by the case of its letters. */
  near(path: string): string | undefined {
    let node: TreeNode = this.tree.root;
    let isOther = false;
    for (const name of path.split("/").filter((part) => part !== "" && part !== ".")) {
      let next = childOf(this.tree, node, name);
      if (next === undefined) {
        const other = this.#namesOf(node).get(name.toLowerCase());
        next = other === undefined ? undefined : childOf(this.tree, node, other);
        isOther = true;
      }
      if (next === undefined) return undefined;
      node = next;
    }
    return isOther && node.entry.kind === "file" ? node.entry.path : undefined;
  }

  #namesOf(node: TreeNode): ReadonlyMap<string, string> {
    let names = this.#lowerCase.get(node);
    if (names === undefined) {
      names = new Map([...node.children.keys()].map((name) => [name.toLowerCase(), name]));
      this.#lowerCase.set(node, names);
    }
    return names;
  }

  /** Up to `length` bytes from `offset` on. */
  async bytes(file: TreeFile, offset: number, length: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    let left = Math.min(length, file.size - offset);
    if (left <= 0) return Buffer.alloc(0);
    for await (const part of this.#read(file, offset)) {
      parts.push(part.subarray(0, left));
      left -= part.length;
      if (left <= 0) break;
    }
    return Buffer.concat(parts);
  }

  /** A file's bytes from `from` on, in order. */
  stream(file: TreeFile, from: number): AsyncIterable<Uint8Array> {
    return this.#read(file, from);
  }

  /** A text's lines; none where the file is too long to be a configuration. Lines that are too long are empty. */
  async lines(file: TreeFile): Promise<readonly string[]> {
    if (file.size > MAX_CONFIG_BYTES || this.#linesLeft <= 0) return [];
    let lines = this.#configs.get(file.path);
    if (lines === undefined) {
      const text = (await this.bytes(file, 0, file.size)).toString("utf8");
      lines = text.split(/\r?\n/).map((line) => (line.length > MAX_LINE ? "" : line));
      this.#configs.set(file.path, lines, { size: text.length + 1 });
    }
    this.#linesLeft -= lines.length;
    return lines;
  }
}

function childOf(tree: Tree, node: TreeNode, name: string): TreeNode | undefined {
  const child = node.children.get(name);
  return child?.entry.kind === "symlink" ? tree.find(child.entry.path) : child;
}
