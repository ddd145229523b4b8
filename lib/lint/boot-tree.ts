/** A tree as seen by boot loaders: files by path, following links, and their bytes. */
import { LRUCache } from "lru-cache";
import type { Tree, TreeFile, TreeNode } from "../tree/tree.ts";

/** A file's bytes from `from` on, in order. */
export type ReadFile = (file: TreeFile, from: number) => AsyncIterable<Uint8Array>;

/** A longer file is not a configuration. */
const MAX_CONFIG_BYTES = 1024 * 1024;
/** Characters of a line. No loader reads longer ones. */
const MAX_LINE = 16 * 1024;
/**
 * The limit for the lines of all configurations. A configuration counts each time it is included; a tree with more was built to
 * slow this down.
 */
const MAX_LINES = 5_000_000;
/** Characters of configurations that are kept in case they are included again. */
const MAX_KEPT = 16 * 1024 * 1024;
/** Limit on the bytes of all compressed streams together. */
const MAX_UNPACKED_BYTES = 32 * 1024 ** 3;

/** Byte order marks. */
const UTF_16 = ["fffe", "feff"].map((mark) => Buffer.from(mark, "hex"));
/** A byte order mark before something else than a comment. */
const MARKED = /^\u{feff}\s*[^\s#]/u;

/** UTF-8 counts if it has a byte order mark. */
export type Encoding = "UTF-16" | "marked UTF-8";

export class BootTree {
  readonly tree: Tree;
  readonly #read: ReadFile;
  /** Bytes that may still be unpacked: hostile archives could take days. */
  unpackable = MAX_UNPACKED_BYTES;
  /** Configurations that were read, in encodings that loaders do not know. */
  readonly encodings = new Map<string, Encoding>();
  #linesLeft = MAX_LINES;
  readonly #configs = new LRUCache<string, readonly string[]>({ maxSize: MAX_KEPT });
  /** For each directory, its names by their lower-case form. */
  readonly #lowerCase = new Map<TreeNode, ReadonlyMap<string, string>>();

  constructor(tree: Tree, read: ReadFile) {
    this.tree = tree;
    this.#read = read;
  }

  /** All files, in path order; links are left out. */
  *files(): Generator<TreeFile> {
    for (const { entry } of this.tree.nodes) if (entry.kind === "file") yield entry;
  }

  /** The file that `path` leads to, through links. */
  file(path: string): TreeFile | undefined {
    const entry = this.tree.find(path)?.entry;
    return entry?.kind === "file" ? entry : undefined;
  }

  /** The path of an entry whose name differs from `path` only in upper and lower case. */
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

  /** The lines of a configuration; none if the file is too long to be one. Overlong lines are returned empty. */
  async lines(file: TreeFile): Promise<readonly string[]> {
    if (file.size > MAX_CONFIG_BYTES || this.#linesLeft <= 0) return [];
    let lines = this.#configs.get(file.path);
    if (lines === undefined) {
      const bytes = await this.bytes(file, 0, file.size);
      const text = bytes.toString("utf8");
      if (UTF_16.some((mark) => bytes.subarray(0, 2).equals(mark))) this.encodings.set(file.path, "UTF-16");
      else if (MARKED.test(text)) this.encodings.set(file.path, "marked UTF-8");
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
