/** A FileSystem over a small tree in memory, the test double under real mounts. */

import {
  type Attributes,
  type Dirent,
  type FileSystem,
  FsError,
  type Inode,
  type Kind,
  ROOT_INODE,
} from "../../lib/fs/view/filesystem.ts";

export type Node =
  | { readonly kind: "directory"; readonly entries: Record<string, Node> }
  | { readonly kind: "symlink"; readonly target: string }
  | {
      readonly kind: "file";
      readonly content: Uint8Array;
      readonly executable?: boolean;
      /** Replaces the plain read, to delay it or to fail. */
      readonly read?: (offset: number, length: number) => Promise<Uint8Array>;
    };

export const directory = (entries: Record<string, Node>): Node => ({ kind: "directory", entries });
export const symlink = (target: string): Node => ({ kind: "symlink", target });
export const file = (content: Uint8Array | string, more: { executable?: boolean } = {}): Node => ({
  kind: "file",
  content: Buffer.from(content),
  ...more,
});

/** When everything in the tree was last changed, in nanoseconds, with a fraction of a second. */
export const MODIFIED = BigInt(Date.UTC(2024, 1, 29, 12, 34, 56, 789)) * 1_000_000n;

/** Content of files for comparisons: no two pages are alike, and it is the same in every process. */
export function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE(Math.imul(at + 1, 2654435761) >>> 0, at);
  return bytes;
}

export class MemoryFileSystem implements FileSystem {
  readonly #nodes = new Map<Inode, Node>();
  readonly #children = new Map<Inode, Map<string, Inode>>();
  readonly #handles = new Map<number, Inode>();
  #nextHandle = 1;

  constructor(root: Node) {
    this.#add(root);
  }

  #add(node: Node): Inode {
    const inode = ROOT_INODE + this.#nodes.size;
    this.#nodes.set(inode, node);
    if (node.kind === "directory") {
      const children = new Map<string, Inode>();
      this.#children.set(inode, children);
      for (const [name, child] of Object.entries(node.entries)) children.set(name, this.#add(child));
    }
    return inode;
  }

  #node<K extends Kind>(
    inode: Inode,
    kind: K,
    otherwise: "ENOTDIR" | "EISDIR" | "EINVAL",
  ): Node & { kind: K } {
    const node = this.#nodes.get(inode);
    if (node?.kind !== kind) throw new FsError(otherwise, `inode ${inode}`);
    return node as Node & { kind: K };
  }

  lookup(parent: Inode, name: string): Inode {
    const children = this.#children.get(parent);
    if (!children) throw new FsError("ENOTDIR", `inode ${parent}`);
    const inode = children.get(name);
    if (inode === undefined) throw new FsError("ENOENT", name);
    return inode;
  }

  parent(inode: Inode): Inode {
    const found = [...this.#children].find(([, names]) => [...names.values()].includes(inode));
    return found?.[0] ?? ROOT_INODE;
  }

  getattr(inode: Inode): Attributes {
    const node = this.#nodes.get(inode)!;
    const size = { file: contentSize, symlink: targetSize, directory: () => 0 }[node.kind](node as never);
    return {
      inode,
      kind: node.kind,
      size,
      executable: node.kind === "file" && node.executable === true,
      modified: MODIFIED,
      changed: MODIFIED,
      links: node.kind === "directory" ? 2 : 1,
    };
  }

  readlink(inode: Inode): string {
    return this.#node(inode, "symlink", "EINVAL").target;
  }

  readdir(inode: Inode): Dirent[] {
    this.#node(inode, "directory", "ENOTDIR");
    return [...this.#children.get(inode)!].map(([name, child]) => ({
      name,
      inode: child,
      kind: this.#nodes.get(child)!.kind,
    }));
  }

  open(inode: Inode): number {
    this.#node(inode, "file", "EISDIR");
    this.#handles.set(this.#nextHandle, inode);
    return this.#nextHandle++;
  }

  async read(handle: number, offset: number, length: number): Promise<Uint8Array[]> {
    const node = this.#node(this.#handles.get(handle)!, "file", "EINVAL");
    if (node.read) return [await node.read(offset, length)];
    const middle = offset + Math.floor(length / 2);
    return [node.content.subarray(offset, middle), node.content.subarray(middle, offset + length)];
  }

  release(handle: number): void {
    this.#handles.delete(handle);
  }

  getxattr(inode: Inode, name: string): Uint8Array {
    if (name === "user.test.inode") return Buffer.from(String(inode));
    if (name === "user.test.empty") return new Uint8Array(0);
    throw new FsError("ENODATA", name);
  }

  listxattr(): readonly string[] {
    return ["user.test.inode", "user.test.empty"];
  }

  // There is nothing to retain, since the tree never changes.
  retain(): void {}
  forget(): void {}
}

const contentSize = (node: { content: Uint8Array }) => node.content.length;
const targetSize = (node: { target: string }) => Buffer.byteLength(node.target);
