/**
 * Several file systems as the directories of one: each has a name in the root, and changes by itself. Their inode numbers come from one
 * range, in which each file system has blocks of its own. So a number shows which file system it belongs to, and keeps its meaning when
 * others come or go.
 */
import {
  type Attributes,
  type Dirent,
  type FileSystem,
  FsError,
  type Inode,
  ROOT_INODE,
} from "./filesystem.ts";
import type { NextInode } from "./inodes.ts";
import { DIRECTORY_BYTES } from "./stat.ts";
import { CANISTER_ATTRIBUTE } from "./xattrs.ts";

/** What can be joined. */
export interface Part extends FileSystem {
  /** Its root directory, by a number that it was given. */
  readonly root: Inode;
}

/** Numbers in a block: 2^16 blocks of them make 2^32. */
const BLOCK_BITS = 16;

interface Owner {
  part: Part | undefined;
}

export class JoinedFileSystem implements FileSystem {
  readonly #canister: string;
  readonly #now: () => number;
  /** The owner of each block of numbers. The first is the root's own. Blocks are never reused: somebody may remember a number. */
  readonly #owners: (Owner | undefined)[] = [undefined];
  readonly #named = new Map<string, Part>();
  readonly #handles = new Map<number, { readonly part: Part; readonly handle: number }>();
  #lastHandle = 0;
  /** When names last came or went, in nanoseconds since 1970. */
  #modified: bigint;

  /**
   * @param canister the value of the root's attribute
   * @param now milliseconds since 1970
   */
  constructor(canister: string, now: () => number = Date.now) {
    this.#canister = canister;
    this.#now = now;
    this.#modified = this.#time();
  }

  /** Numbers for the inodes of one file system, which link() may give a name. */
  numbers(): NextInode {
    const owner: Owner = { part: undefined };
    let next = 0;
    let end = 0;
    return () => {
      if (next === end) {
        next = this.#owners.length * 2 ** BLOCK_BITS;
        end = next + 2 ** BLOCK_BITS;
        this.#owners.push(owner);
      }
      next += 1;
      return next - 1;
    };
  }

  /** Gives a file system a name that is free. @param part its inode numbers come from a numbers() of its own */
  link(name: string, part: Part): void {
    this.#owner(part.root)!.part = part;
    this.#named.set(name, part);
    this.#modified = this.#time();
  }

  /** Removes the name. Inodes and open files that somebody still holds are answered as before. */
  unlink(name: string): void {
    if (this.#named.delete(name)) this.#modified = this.#time();
  }

  lookup(parent: Inode, name: string): Inode {
    if (parent !== ROOT_INODE) return this.#of(parent).lookup(parent, name);
    const part = this.#named.get(name);
    if (part === undefined) throw new FsError("ENOENT", `/${name}`);
    return part.root;
  }

  parent(inode: Inode): Inode {
    if (inode === ROOT_INODE) return ROOT_INODE;
    const part = this.#of(inode);
    return inode === part.root ? ROOT_INODE : part.parent(inode);
  }

  getattr(inode: Inode): Attributes {
    if (inode !== ROOT_INODE) return this.#of(inode).getattr(inode);
    return {
      inode,
      kind: "directory",
      size: DIRECTORY_BYTES,
      executable: false,
      modified: this.#modified,
      changed: this.#modified,
      links: 2 + this.#named.size,
    };
  }

  readlink(inode: Inode): string {
    if (inode === ROOT_INODE) throw new FsError("EINVAL", "the root is not a symlink");
    return this.#of(inode).readlink(inode);
  }

  /** The root's entries are sorted by name. */
  readdir(inode: Inode): readonly Dirent[] {
    if (inode !== ROOT_INODE) return this.#of(inode).readdir(inode);
    const names = [...this.#named.keys()].sort();
    return names.map((name) => ({ name, inode: this.#named.get(name)!.root, kind: "directory" }));
  }

  open(inode: Inode): number | Promise<number> {
    if (inode === ROOT_INODE) throw new FsError("EISDIR", "/");
    const part = this.#of(inode);
    const handle = part.open(inode);
    return typeof handle === "number"
      ? this.#opened(part, handle)
      : handle.then((opened) => this.#opened(part, opened));
  }

  #opened(part: Part, handle: number): number {
    this.#lastHandle += 1;
    this.#handles.set(this.#lastHandle, { part, handle });
    return this.#lastHandle;
  }

  async read(handle: number, offset: number, length: number): Promise<readonly Uint8Array[]> {
    const open = this.#handles.get(handle);
    if (open === undefined) throw new FsError("EBADF", `no handle ${handle}`);
    return open.part.read(open.handle, offset, length);
  }

  release(handle: number): void {
    const open = this.#handles.get(handle);
    if (open === undefined) return;
    this.#handles.delete(handle);
    open.part.release(open.handle);
  }

  getxattr(inode: Inode, name: string): Uint8Array {
    if (inode !== ROOT_INODE) return this.#of(inode).getxattr(inode, name);
    if (name !== CANISTER_ATTRIBUTE) throw new FsError("ENODATA", name);
    return Buffer.from(this.#canister);
  }

  listxattr(inode: Inode): readonly string[] {
    // The root's attribute can only be read by name: programs that copy attributes would copy a claim that no release makes.
    return inode === ROOT_INODE ? [] : this.#of(inode).listxattr(inode);
  }

  retain(inode: Inode): void {
    if (inode !== ROOT_INODE) this.#of(inode).retain(inode);
  }

  forget(inode: Inode): void {
    if (inode !== ROOT_INODE) this.#of(inode).forget(inode);
  }

  /** @throws FsError ENOENT */
  #of(inode: Inode): Part {
    const part = this.#owner(inode)?.part;
    if (part === undefined) throw new FsError("ENOENT", `no inode ${inode}`);
    return part;
  }

  #owner(inode: Inode): Owner | undefined {
    return this.#owners[Math.floor(inode / 2 ** BLOCK_BITS)];
  }

  #time(): bigint {
    return BigInt(this.#now()) * 1_000_000n;
  }
}
