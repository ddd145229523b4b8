/**
 * The protocol between the kernel and a file system over /dev/fuse, version 7 (linux/fuse.h): numbers and structures,
 * as bytes. Everything is in the machine's byte order, which is little-endian wherever Node runs on Linux, except on
 * s390x.
 */

import { type MountOptions, modeOf } from "../mounting/fuse-options.ts";
import type { Attributes, Kind } from "../view/filesystem.ts";
import { BLOCK_SIZE, blocksOf, type STATFS } from "../view/stat.ts";

export const VERSION = 7;
/** Linux 3.15: since then, the answer to INIT has its present size. */
export const LEAST_MINOR = 23;
/** The newest version with these structures. The kernel uses the older one of both sides. */
export const MINOR = 41;

export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  RENAME2: 45,
  COPY_FILE_RANGE: 47,
  TMPFILE: 51,
} as const;

/** FUSE_ASYNC_READ, ...: features to request in INIT, if the kernel has them. */
export const InitFlag = {
  ASYNC_READ: 1 << 0,
  EXPORT_SUPPORT: 1 << 4,
  PARALLEL_DIROPS: 1 << 18,
  MAX_PAGES: 1 << 22,
  CACHE_SYMLINKS: 1 << 23,
} as const;

export const FOPEN_KEEP_CACHE = 1 << 1;

export const Notify = { INVAL_INODE: 2 } as const;

const IN_HEADER_BYTES = 40;
const OUT_HEADER_BYTES = 16;
const ENTRY_BYTES = 128;
const ATTR_AT_IN_ENTRY = 40;
const DIRENT_BYTES = 24;

export interface Request {
  readonly opcode: number;
  readonly unique: bigint;
  /** 0 for requests without an inode, and for numbers that no inode can have. */
  readonly nodeid: number;
  readonly pid: number;
  /** What follows the header. */
  readonly body: Buffer;
}

/** struct fuse_in_header; undefined when the bytes are too short, or its length is another. */
export function decodeRequest(bytes: Buffer): Request | undefined {
  if (bytes.length < IN_HEADER_BYTES || bytes.readUInt32LE(0) !== bytes.length) return undefined;
  return {
    opcode: bytes.readUInt32LE(4),
    unique: bytes.readBigUInt64LE(8),
    nodeid: numberAt(bytes, 16),
    pid: bytes.readUInt32LE(32),
    body: bytes.subarray(IN_HEADER_BYTES),
  };
}

/** struct fuse_out_header. @param error 0, or an errno (positive) */
export function replyHeader(unique: bigint, error: number, bytes: number): Buffer {
  const header = Buffer.alloc(OUT_HEADER_BYTES);
  header.writeUInt32LE(OUT_HEADER_BYTES + bytes, 0);
  header.writeInt32LE(-error, 4);
  header.writeBigUInt64LE(unique, 8);
  return header;
}

/** A notification: its code is in the place of the error, and positive. */
export function notification(code: number, body: Buffer): Buffer {
  const header = Buffer.alloc(OUT_HEADER_BYTES);
  header.writeUInt32LE(OUT_HEADER_BYTES + body.length, 0);
  header.writeInt32LE(code, 4);
  return Buffer.concat([header, body]);
}

/** struct fuse_notify_inval_inode_out, for an inode's attributes only. */
export function attributesOutdated(inode: number): Buffer {
  const body = Buffer.alloc(24);
  body.writeBigUInt64LE(BigInt(inode), 0);
  // A negative offset: not the pages.
  body.writeBigInt64LE(-1n, 8);
  return notification(Notify.INVAL_INODE, body);
}

/** struct fuse_init_in. */
export interface InitRequest {
  readonly major: number;
  readonly minor: number;
  /** Bytes. */
  readonly maxReadahead: number;
  readonly flags: number;
}

export function decodeInit(body: Buffer): InitRequest | undefined {
  if (body.length < 8) return undefined;
  const [maxReadahead, flags] = body.length < 16 ? [0, 0] : [body.readUInt32LE(8), body.readUInt32LE(12)];
  return { major: body.readUInt32LE(0), minor: body.readUInt32LE(4), maxReadahead, flags };
}

/** struct fuse_init_out. @param maxPages of 4 KiB, in a request */
export function initReply(answer: {
  readonly flags: number;
  readonly maxReadahead: number;
  readonly maxBackground: number;
  readonly maxWrite: number;
  readonly maxPages: number;
}): Buffer {
  const reply = Buffer.alloc(64);
  reply.writeUInt32LE(VERSION, 0);
  reply.writeUInt32LE(MINOR, 4);
  reply.writeUInt32LE(answer.maxReadahead, 8);
  reply.writeUInt32LE(answer.flags >>> 0, 12);
  reply.writeUInt16LE(answer.maxBackground, 16);
  // Above this many, the kernel delays readahead: not before it delays everything.
  reply.writeUInt16LE(answer.maxBackground, 18);
  reply.writeUInt32LE(answer.maxWrite, 20);
  reply.writeUInt32LE(1, 24); // times are exact to the nanosecond
  reply.writeUInt16LE(answer.maxPages, 28);
  return reply;
}

/** struct fuse_attr: 88 bytes at `at`. */
function writeAttributes(target: Buffer, at: number, attributes: Attributes, options: MountOptions): void {
  const { inode, size, modified, changed, links } = attributes;
  target.writeBigUInt64LE(BigInt(inode), at);
  target.writeBigUInt64LE(BigInt(size), at + 8);
  target.writeBigUInt64LE(BigInt(blocksOf(size)), at + 16);
  // Of the last read, the last change of content, and the last change of anything.
  for (const [i, time] of [modified, modified, changed].entries()) {
    target.writeBigUInt64LE(time / 1_000_000_000n, at + 24 + 8 * i);
    target.writeUInt32LE(Number(time % 1_000_000_000n), at + 48 + 4 * i);
  }
  target.writeUInt32LE(modeOf(attributes, options), at + 60);
  target.writeUInt32LE(links, at + 64);
  target.writeUInt32LE(options.uid, at + 68);
  target.writeUInt32LE(options.gid, at + 72);
  target.writeUInt32LE(BLOCK_SIZE, at + 80);
}

/** struct fuse_attr_out. @param seconds for which the kernel need not ask again */
export function attributesReply(attributes: Attributes, options: MountOptions, seconds: number): Buffer {
  const reply = Buffer.alloc(104);
  reply.writeBigUInt64LE(BigInt(seconds), 0);
  writeAttributes(reply, 16, attributes, options);
  return reply;
}

/**
 * struct fuse_entry_out. The name is valid for this moment only: the kernel looks it up each time that somebody uses it.
 *
 * @param generation of inode numbers, by which the kernel distinguishes inodes of different mounts
 * @param seconds for which the attributes are valid
 */
export function entryReply(
  attributes: Attributes,
  options: MountOptions,
  generation: number,
  seconds: number,
): Buffer {
  const reply = Buffer.alloc(ENTRY_BYTES);
  reply.writeBigUInt64LE(BigInt(attributes.inode), 0);
  reply.writeBigUInt64LE(BigInt(generation), 8);
  reply.writeBigUInt64LE(BigInt(seconds), 24);
  writeAttributes(reply, ATTR_AT_IN_ENTRY, attributes, options);
  return reply;
}

/** struct fuse_open_out. */
export function openReply(handle: number, flags: number): Buffer {
  const reply = Buffer.alloc(16);
  reply.writeBigUInt64LE(BigInt(handle), 0);
  reply.writeUInt32LE(flags, 8);
  return reply;
}

/** struct fuse_statfs_out. The fields that are not set are those for free space, which is 0. */
export function statfsReply({ blocks, files, bsize, frsize, namemax }: typeof STATFS): Buffer {
  const reply = Buffer.alloc(80);
  reply.writeBigUInt64LE(BigInt(blocks), 0);
  reply.writeBigUInt64LE(BigInt(files), 24);
  reply.writeUInt32LE(bsize, 40);
  reply.writeUInt32LE(namemax, 44);
  reply.writeUInt32LE(frsize, 48);
  return reply;
}

/** struct fuse_getxattr_out: how many bytes there are. */
export function xattrSizeReply(bytes: number): Buffer {
  const reply = Buffer.alloc(8);
  reply.writeUInt32LE(bytes, 0);
  return reply;
}

/** An entry of a listing. */
export interface DirectoryItem {
  readonly name: Buffer;
  readonly inode: number;
  readonly kind: Kind;
  /** The offset of the next entry. */
  readonly next: number;
}

/** DT_REG and the like. */
const TYPES: Record<Kind, number> = { file: 8, directory: 4, symlink: 10 };

/** Writes a struct fuse_dirent at `at`. Returns the place of the next one; `at` when it does not fit. */
export function writeItem(target: Buffer, at: number, { name, inode, kind, next }: DirectoryItem): number {
  const end = endOfItem(at + DIRENT_BYTES + name.length);
  if (end > target.length) return at;
  target.writeBigUInt64LE(BigInt(inode), at);
  target.writeBigUInt64LE(BigInt(next), at + 8);
  target.writeUInt32LE(name.length, at + 16);
  target.writeUInt32LE(TYPES[kind], at + 20);
  name.copy(target, at + DIRENT_BYTES);
  return end;
}

/** Each is aligned to 8 bytes. */
function endOfItem(end: number): number {
  return Math.ceil(end / 8) * 8;
}

/** struct fuse_read_in, for files and directories. */
export interface ReadRequest {
  readonly handle: number;
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

// Offsets beyond what JavaScript counts exactly are past the end of any file.
export function decodeRead(body: Buffer): ReadRequest | undefined {
  if (body.length < 24) return undefined;
  return { handle: numberAt(body, 0), offset: Number(body.readBigUInt64LE(8)), size: body.readUInt32LE(16) };
}

/** The handle that struct fuse_release_in begins with. */
export function decodeRelease(body: Buffer): number | undefined {
  return body.length < 8 ? undefined : numberAt(body, 0);
}

/** The open(2) flags of struct fuse_open_in. */
export function decodeOpenFlags(body: Buffer): number | undefined {
  return body.length < 4 ? undefined : body.readUInt32LE(0);
}

/** struct fuse_getxattr_in, and for GETXATTR the name after it. */
export function decodeGetxattr(body: Buffer): { readonly size: number; readonly rest: Buffer } | undefined {
  return body.length < 8 ? undefined : { size: body.readUInt32LE(0), rest: body.subarray(8) };
}

/** The request that struct fuse_interrupt_in is about. */
export function decodeInterrupt(body: Buffer): bigint | undefined {
  return body.length < 8 ? undefined : body.readBigUInt64LE(0);
}

/** struct fuse_forget_in: how often the inode was looked up. */
export function decodeForget(body: Buffer): number | undefined {
  return body.length < 8 ? undefined : numberAt(body, 0);
}

/** struct fuse_batch_forget_in with its fuse_forget_one: inodes, and how often each was looked up. */
export function decodeBatchForget(body: Buffer): (readonly [inode: number, count: number])[] {
  if (body.length < 8) return [];
  const count = Math.min(body.readUInt32LE(0), Math.floor((body.length - 8) / 16));
  return Array.from({ length: count }, (_, i) => [numberAt(body, 8 + 16 * i), numberAt(body, 16 + 16 * i)]);
}

/** A name up to its NUL; undefined when it has none, or is not UTF-8, unlike all names in a tree. */
export function decodeName(bytes: Buffer): string | undefined {
  const end = bytes.indexOf(0);
  if (end < 0) return undefined;
  const name = bytes.toString("utf8", 0, end);
  return Buffer.byteLength(name) === end && bytes.subarray(0, end).equals(Buffer.from(name))
    ? name
    : undefined;
}

/** An unsigned number of 64 bits; an unsafe integer becomes 0, which is never an inode or a handle. */
function numberAt(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64LE(at);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : 0;
}
