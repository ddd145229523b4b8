/** A tree as boot loaders see it: files by path, links followed, and the bytes of each. */
import type { Tree, TreeFile, TreeNode } from "../tree/tree.ts";

/** A file's bytes from `from` on, in order. */
export type ReadFile = (file: TreeFile, from: number) => AsyncIterable<Uint8Array>;

/** A configuration that is longer is none. */
const MAX_CONFIG_BYTES = 1024 * 1024;

export class BootTree {
  readonly tree: Tree;
  readonly #read: ReadFile;

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
        const lower = name.toLowerCase();
        const other = [...node.children.keys()].find((key) => key.toLowerCase() === lower);
        next = other === undefined ? undefined : childOf(this.tree, node, other);
        isOther = true;
      }
      if (next === undefined) return undefined;
      node = next;
    }
    return isOther && node.entry.kind === "file" ? node.entry.path : undefined;
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

  /** A text's lines; none where the file is too long to be a configuration. */
  async lines(file: TreeFile): Promise<string[]> {
    if (file.size > MAX_CONFIG_BYTES) return [];
    const text = (await this.bytes(file, 0, file.size)).toString("utf8");
    return text.split(/\r?\n/);
  }
}

function childOf(tree: Tree, node: TreeNode, name: string): TreeNode | undefined {
  const child = node.children.get(name);
  return child?.entry.kind === "symlink" ? tree.find(child.entry.path) : child;
}
