/**
 * The file system's interface for transports: operations on inodes, not paths, so that two versions of one path can be
 * two inodes. The file system is read-only; a transport answers EROFS itself.
 *
 * An inode stands for one path with one content, for ever, so the kernel's pages of it are never outdated. When
 * the release is switched, an unchanged file keeps its inode, a changed one gets a new one, and directories keep theirs.
 *
 * Every operation reports failure by throwing an {@link FsError}; any other exception is a bug and reaches
 * the caller as EIO. Only `read`, and `open` with `--open whole`, may wait for the network; both have deadlines.
 */

/** The errors a reader can get; lib/fs/errno.ts has their numbers. Never EAGAIN, EINTR, ENOMEM or ENOBUFS. */
export type Errno =
  | "ENOENT"
  | "EIO"
  | "EROFS"
  | "ENOTDIR"
  | "EISDIR"
  | "EINVAL"
  | "EBADF"
  | "ENODATA"
  | "ENOTSUP"
  | "ERANGE";

export class FsError extends Error {
  readonly errno: Errno;
  constructor(errno: Errno, message: string) {
    super(`${errno}: ${message}`);
    this.name = "FsError";
    this.errno = errno;
  }
}

/** Inode numbers are positive and below 2^32 (fuse-native's st_ino has 32 bits). */
export type Inode = number;
export const ROOT_INODE: Inode = 1;

export type Kind = "file" | "directory" | "symlink";

export interface Attributes {
  readonly inode: Inode;
  readonly kind: Kind;
  /** In bytes: a file's length, a symlink's target in UTF-8; a directory's is not 0 either. */
  readonly size: number;
  readonly executable: boolean;
  /** Nanoseconds since 1970. */
  readonly modified: bigint;
  /** Since when the inode is as it is, content and attributes; never before `modified`. */
  readonly changed: bigint;
  /** Hard link count: 1, or 2 + subdirectories. */
  readonly links: number;
}

export interface Dirent {
  readonly name: string;
  readonly inode: Inode;
  readonly kind: Kind;
}

export interface FileSystem {
  /** @throws FsError ENOENT (there is no such name in the verified tree), ENOTDIR */
  lookup(parent: Inode, name: string): Inode;
  /** The parent directory; the root's is the root itself. @throws FsError ENOENT */
  parent(inode: Inode): Inode;
  getattr(inode: Inode): Attributes;
  /** @throws FsError EINVAL when `inode` is not a symlink */
  readlink(inode: Inode): string;
  /** Without `.` and `..`. @throws FsError ENOTDIR */
  readdir(inode: Inode): readonly Dirent[];
  /**
   * Returns a handle for `read` and `release`, a whole number below 2^32; a promise only when files are to be whole
   * before they are open (`--open whole`). @throws FsError EISDIR, EIO
   */
  open(inode: Inode): number | Promise<number>;
  /**
   * Resolves to exactly the bytes [offset, offset + length), cut off at the end of the file, in a few consecutive
   * pieces. Never rejects later than the read deadline. @throws FsError EIO, EBADF
   */
  read(handle: number, offset: number, length: number): Promise<readonly Uint8Array[]>;
  release(handle: number): void;
  /** An extended attribute's value. @throws FsError ENODATA when there is no such attribute */
  getxattr(inode: Inode, name: string): Uint8Array;
  listxattr(inode: Inode): readonly string[];
  /**
   * The kernel knows this inode until `forget`: requests for it are answered even after a switch has removed it
   * from the tree. Calls do not add up: one `forget` ends it.
   */
  retain(inode: Inode): void;
  forget(inode: Inode): void;
}
