/**
 * Verified releases as a file system: answers a transport's operations. All except `read`, and `open` with --open whole, are answered
 * from the tree at once. `read` gets chunks from the cache, and requests the next ones ahead of a sequential reader.
 */
import { messageOf } from "../../errors.ts";
import { READAHEAD_CHUNKS } from "../../readahead.ts";
import { type Chunks, entrySize, type Tree, type TreeFile } from "../../tree/tree.ts";
import { type FileContents, OpenContents, type Span } from "./file-contents.ts";
import { type Attributes, type Dirent, type FileSystem, FsError, type Inode } from "./filesystem.ts";
import { Inodes, type Located, type NextInode, type ServedRelease, type Swap } from "./inodes.ts";
import { ReadingOrder } from "./reading-order.ts";
import { DIRECTORY_BYTES } from "./stat.ts";
import { attributeNames, attributeValue } from "./xattrs.ts";

export interface TreeFileSystemOptions {
  /** For the attribute user.icfs.canister. */
  readonly canister: string;
  /** Whether listxattr(2) names the attributes, so that programs that copy files copy them too. */
  readonly listXattrs: boolean;
  /** Milliseconds that a read may take. Default: no limit other than each chunk's; these add up in a file with tiny extents. */
  readonly readTimeout?: number;
  /** Called for each name that is looked up and found. */
  readonly onLookup?: () => void;
  /** Called for each file that is opened. */
  readonly onOpen?: (file: TreeFile, tree: Tree) => void;
  /** Called when such a file is closed, or could not be opened. */
  readonly onDone?: () => void;
  /** What `open` waits for, if anything. Throws or rejects when the file cannot be opened: EIO. */
  readonly beforeOpen?: (file: TreeFile, tree: Tree) => Promise<void> | undefined;
  /** Called when a file that was opened is closed. */
  readonly onClose?: (file: TreeFile) => void;
  /** Where inode numbers come from; default: as in Inodes. */
  readonly numbers?: NextInode;
  /** Counters that this file system shares with others; default: its own. */
  readonly statistics?: ReaderStatistics;
}

/** Counters of readers since the mount. */
export interface ReaderStatistics {
  opens: number;
  reads: number;
  /** Bytes sent to the kernel. */
  bytes: number;
  /** Reads and opens that failed. */
  errors: number;
}

interface Handle {
  readonly contents: FileContents;
  /** The last extent that a sequential reader has reached. */
  reached: number;
  /** The reader of this file has read the files before it, and will read those after it. */
  readonly inOrder: boolean;
}

export function noReaders(): ReaderStatistics {
  return { opens: 0, reads: 0, bytes: 0, errors: 0 };
}

export class TreeFileSystem implements FileSystem {
  readonly statistics: ReaderStatistics;
  /** The last error that a reader got. */
  lastError: { readonly at: Date; readonly message: string } | undefined;
  readonly #inodes: Inodes;
  readonly #chunks: Chunks;
  readonly #options: TreeFileSystemOptions;
  readonly #handles = new Map<number, Handle>();
  readonly #contents = new OpenContents();
  readonly #order = new ReadingOrder();
  #lastHandle = 0;

  constructor(served: ServedRelease, chunks: Chunks, options: TreeFileSystemOptions) {
    this.statistics = options.statistics ?? noReaders();
    this.#inodes = new Inodes(served, options.numbers);
    this.#chunks = chunks;
    this.#options = options;
  }

  /** The directory that the release is. */
  get root(): Inode {
    return this.#inodes.root;
  }

  /** As Inodes.prepare(); the result is for the transport's `switchTo`. */
  prepare(next: ServedRelease): Generator<void, Swap> {
    return this.#inodes.prepare(next);
  }

  /** As Inodes.stillMountedOn(). */
  stillMountedOn(paths: readonly string[]): string[] {
    return this.#inodes.stillMountedOn(paths);
  }

  lookup(parent: Inode, name: string): Inode {
    const directory = this.#directory(parent);
    const inode = this.#inodes.child(parent, name);
    if (inode === undefined) throw new FsError("ENOENT", `${directory.entry.path}/${name}`);
    this.#options.onLookup?.();
    return inode;
  }

  parent(inode: Inode): Inode {
    return this.#inodes.parent(this.#located(inode));
  }

  getattr(inode: Inode): Attributes {
    const { node, since } = this.#located(inode);
    const { entry } = node;
    return {
      inode,
      kind: entry.kind,
      size: entry.kind === "directory" ? DIRECTORY_BYTES : entrySize(entry),
      executable: entry.kind === "file" && entry.executable,
      modified: entry.modified,
      changed: since > entry.modified ? since : entry.modified,
      links: entry.kind === "directory" ? 2 + node.subdirectories : 1,
    };
  }

  readlink(inode: Inode): string {
    const { entry } = this.#located(inode).node;
    if (entry.kind !== "symlink") throw new FsError("EINVAL", `${entry.path} is not a symlink`);
    return entry.target;
  }

  readdir(inode: Inode): readonly Dirent[] {
    this.#directory(inode);
    return this.#inodes.children(inode);
  }

  open(inode: Inode): number | Promise<number> {
    const { node, served } = this.#located(inode);
    const { entry } = node;
    if (entry.kind === "directory") throw new FsError("EISDIR", entry.path);
    if (entry.kind !== "file") throw new FsError("EINVAL", `${entry.path} is a symlink`);
    this.statistics.opens += 1;
    this.#options.onOpen?.(entry, served.tree);
    const fail = (error: unknown) => {
      this.#options.onDone?.();
      this.#fail(entry, error);
    };
    let waiting: Promise<void> | undefined;
    try {
      waiting = this.#options.beforeOpen?.(entry, served.tree);
    } catch (error) {
      return fail(error);
    }
    if (waiting === undefined) return this.#opened(entry, served.tree, node.index);
    return waiting.then(() => this.#opened(entry, served.tree, node.index), fail);
  }

  #opened(file: TreeFile, tree: Tree, index: number): number {
    this.#lastHandle += 1;
    this.#handles.set(this.#lastHandle, {
      contents: this.#contents.opened(file, tree),
      reached: -1,
      inOrder: this.#order.opened(tree, index),
    });
    return this.#lastHandle;
  }

  async read(handle: number, offset: number, length: number): Promise<readonly Uint8Array[]> {
    const open = this.#handles.get(handle);
    if (open === undefined) throw new FsError("EBADF", `no handle ${handle}`);
    const { contents } = open;
    this.statistics.reads += 1;
    const end = Math.min(offset + length, contents.file.size);
    if (offset >= end) return [];
    const span = contents.span(offset, end);
    const { readTimeout = Number.POSITIVE_INFINITY } = this.#options;
    const bytes = contents.bytes(span, offset, end, this.#chunks, readTimeout);
    this.#readAhead(open, span);
    try {
      const pieces = await bytes;
      this.statistics.bytes += end - offset;
      return pieces;
    } catch (error) {
      this.#fail(contents.file, error);
    }
  }

  #fail({ path }: TreeFile, error: unknown): never {
    const message = `${path}: ${messageOf(error)}`;
    this.statistics.errors += 1;
    this.lastError = { at: new Date(), message };
    throw new FsError("EIO", message);
  }

  /**
   * Judged by extents, not by offsets: the kernel's own readahead sends the reads of a sequential reader in parallel,
   * and they arrive in any order.
   */
  #readAhead(open: Handle, { first, last }: Span): void {
    if (last <= open.reached) return;
    const sequential = first <= open.reached + 1;
    open.reached = last;
    if (!sequential) return;
    const { contents } = open;
    const end = Math.min(last + READAHEAD_CHUNKS, contents.file.extents.length - 1);
    for (let i = last + 1; i <= end; i++) this.#chunks.prefetch(contents.chunkOf(i));
    if (!open.inOrder) return;
    const more = contents.chunksBehind(end, READAHEAD_CHUNKS - (end - last));
    for (const chunk of more) this.#chunks.prefetch(chunk);
  }

  release(handle: number): void {
    const open = this.#handles.get(handle);
    if (open === undefined) return;
    const { file } = open.contents;
    this.#handles.delete(handle);
    this.#contents.closed(file);
    this.#options.onClose?.(file);
    this.#options.onDone?.();
  }

  getxattr(inode: Inode, name: string): Uint8Array {
    const value = attributeValue(this.#located(inode), name, this.#options.canister);
    if (value === undefined) throw new FsError("ENODATA", name);
    return value;
  }

  listxattr(inode: Inode): readonly string[] {
    const names = attributeNames(this.#located(inode));
    return this.#options.listXattrs ? names : [];
  }

  retain(inode: Inode): void {
    this.#inodes.retain(inode);
  }

  forget(inode: Inode): void {
    this.#inodes.forget(inode);
  }

  #located(inode: Inode): Located {
    const located = this.#inodes.get(inode);
    if (located === undefined) throw new FsError("ENOENT", `no inode ${inode}`);
    return located;
  }

  #directory(inode: Inode): Located["node"] {
    const { node } = this.#located(inode);
    if (node.entry.kind !== "directory") throw new FsError("ENOTDIR", node.entry.path);
    return node;
  }
}
