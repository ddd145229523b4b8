/**
 * Checks whether compressed streams are complete, and unpacks those that Node.js can unpack. For the others, only the end is
 * checked, by the rules of their formats.
 */
import {
  crc32,
  createInflateRaw,
  createZstdDecompress,
  type InflateRaw,
  type ZstdDecompress,
} from "node:zlib";
import { messageOf } from "../errors.ts";
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";

export interface Compressed {
  /** Why the stream cannot be unpacked, as a clause; undefined if no problem was found. */
  readonly problem?: string;
  /** Where the stream ends in the file; undefined if that is unknown. */
  readonly end?: number;
  /** Whether all of its content was passed on. */
  readonly isRead: boolean;
}

type Format = "gzip" | "zstd" | "xz" | "bzip2" | "lz4" | "lz4 frame";

const MAGICS: readonly (readonly [Format, string])[] = [
  ["gzip", "1f8b"],
  ["zstd", "28b52ffd"],
  ["xz", "fd377a585a00"],
  ["bzip2", "425a68"],
  ["lz4", "02214c18"],
  ["lz4 frame", "04224d18"],
];
const MAGIC_BYTES = 6;
/** How an archive after a bzip2 stream may begin. These are long enough not to occur by chance. */
const BEGINNINGS = ["303730373031", "303730373032", "1f8b0800", "1f8b0808", "fd377a585a00", "28b52ffd"].map(
  (bytes) => Buffer.from(bytes, "hex"),
);
/** Includes a file name. A longer header is nonsense. */
const MAX_GZIP_HEADER = 64 * 1024;
/** The end of a file that is searched for a stream's end: files are padded with zeros to whole blocks. */
const TAIL_BYTES = 64 * 1024;
/** LZ4_compressBound() of 8 MiB, the size of a legacy block (lz4's "LZ4 Frame Format Description"). */
const MAX_LZ4_BLOCK = 8 * 1024 * 1024 + (8 * 1024 * 1024) / 255 + 16;
/** Even at the best compression, a block of 8 MiB takes 32 KiB: no initrd has more blocks. */
const MAX_LZ4_BLOCKS = 4096;
const LZ4_MAGIC = 0x184c2102;
const XZ_END = Buffer.from("YZ");
const XZ_FOOTER_BYTES = 12;
/** The end of kernel arguments that may be appended to an initrd (Documentation/admin-guide/bootconfig.rst). */
const BOOT_CONFIG_END = Buffer.from("#BOOTCONFIG\n");
/** The 48 bits before a bzip2 stream's checksum, which can begin at any bit. */
const BZIP2_END = (0x177245385090).toString(2).padStart(48, "0");

/** The format of the stream that begins there; undefined if there is none. */
export async function formatAt(tree: BootTree, file: TreeFile, at: number): Promise<Format | undefined> {
  const magic = (await tree.bytes(file, at, MAGIC_BYTES)).toString("hex");
  return MAGICS.find(([, bytes]) => magic.startsWith(bytes))?.[0];
}

/** @param take receives the content, where it can be unpacked */
export async function readCompressed(
  tree: BootTree,
  { file, at, format }: { readonly file: TreeFile; readonly at: number; readonly format: Format },
  take: (part: Buffer) => void,
): Promise<Compressed> {
  switch (format) {
    case "gzip":
      return unpackGzip(tree, file, at, take);
    case "zstd":
      return unpack(tree, file, at, createZstdDecompress(), format, take);
    case "lz4":
      return walkLz4(tree, file, at);
    case "lz4 frame":
      return { problem: "Linux reads lz4 only as `lz4 -l` makes it", isRead: false };
    case "xz":
      return findXzEnd(tree, file, at);
    case "bzip2":
      return findBzip2End(tree, file, at);
  }
}

/** Unpacks one member (RFC 1952): Node.js's own gzip reader does not report where it ends. */
async function unpackGzip(
  tree: BootTree,
  file: TreeFile,
  at: number,
  take: (part: Buffer) => void,
): Promise<Compressed> {
  const begin = at + gzipHeaderBytes(await tree.bytes(file, at, MAX_GZIP_HEADER));
  let sum = 0;
  let length = 0;
  const found = await unpack(tree, file, begin, createInflateRaw(), "gzip", (part) => {
    sum = crc32(part, sum);
    length += part.length;
    take(part);
  });
  if (found.end === undefined) return found;
  const trailer = await tree.bytes(file, found.end, 8);
  const isRight =
    trailer.length === 8 && trailer.readUInt32LE() === sum && trailer.readUInt32LE(4) === length % 2 ** 32;
  return isRight
    ? { end: found.end + 8, isRead: true }
    : { problem: "its gzip stream is damaged or breaks off (its checksum does not match)", isRead: false };
}

function gzipHeaderBytes(head: Buffer): number {
  const flags = head[3] ?? 0;
  let bytes = 10;
  if ((flags & 4) !== 0 && head.length >= 12) bytes += 2 + head.readUInt16LE(10);
  for (const flag of [8, 16]) {
    if ((flags & flag) !== 0) bytes = head.indexOf(0, bytes) + 1 || head.length;
  }
  return (flags & 2) === 0 ? bytes : bytes + 2;
}

/** Thrown to stop unpacking. */
const ENOUGH = new Error("enough");

async function unpack(
  tree: BootTree,
  file: TreeFile,
  at: number,
  unpacker: InflateRaw | ZstdDecompress,
  format: Format,
  take: (part: Buffer) => void,
): Promise<Compressed> {
  let isOver = false;
  const read = async () => {
    try {
      for await (const part of unpacker as AsyncIterable<Buffer>) {
        tree.unpackable -= part.length;
        if (tree.unpackable < 0) throw ENOUGH;
        take(part);
      }
    } finally {
      isOver = true;
    }
  };
  const reading = read().then(
    () => undefined,
    (error: unknown) => error,
  );
  // A pipeline would report an error for what follows the stream, which does not belong to it.
  for await (const part of tree.stream(file, at)) {
    if (isOver) break;
    await Promise.race([new Promise((resolve) => unpacker.write(part, resolve)), reading]);
  }
  if (!isOver) unpacker.end();
  const error = await reading;
  unpacker.destroy();
  if (error === undefined) return { end: at + unpacker.bytesWritten, isRead: true };
  if (error === ENOUGH) return { isRead: false };
  return { problem: `its ${format} stream is damaged or breaks off (${messageOf(error)})`, isRead: false };
}

/**
 * Walks over blocks, each after its length, up to the file's end, zeros or another archive (lz4's "LZ4 Frame Format Description",
 * "Legacy frame").
 */
async function walkLz4(tree: BootTree, file: TreeFile, from: number): Promise<Compressed> {
  let at = from;
  for (let blocks = 0; blocks < MAX_LZ4_BLOCKS; blocks++) {
    const head = await tree.bytes(file, at, 4);
    if (head.length === 0) return { end: at, isRead: false };
    if (head.length < 4) return { problem: "its lz4 stream breaks off", isRead: false };
    const word = head.readUInt32LE();
    if (word === LZ4_MAGIC) at += 4;
    else if (word === 0 || word > MAX_LZ4_BLOCK) return { end: at, isRead: false };
    else if (at + 4 + word > file.size) return { problem: "its lz4 stream breaks off", isRead: false };
    else at += 4 + word;
  }
  return { isRead: false };
}

/** Finds the stream's footer, which has a checksum of its own (the .xz file format, 2.1.2). */
async function findXzEnd(tree: BootTree, file: TreeFile, from: number): Promise<Compressed> {
  let before: Buffer = Buffer.alloc(0);
  let offset = from;
  for await (const part of tree.stream(file, from)) {
    const bytes = Buffer.concat([before, part]);
    const begin = offset - before.length;
    for (let at = bytes.indexOf(XZ_END); at >= 0; at = bytes.indexOf(XZ_END, at + 1)) {
      const end = at + XZ_END.length;
      const footer = bytes.subarray(end - XZ_FOOTER_BYTES, end);
      if (end >= XZ_FOOTER_BYTES && crc32(footer.subarray(4, 10)) === footer.readUInt32LE())
        return { end: begin + end, isRead: false };
    }
    offset += part.length;
    before = bytes.subarray(-XZ_FOOTER_BYTES + 1);
  }
  return { problem: "its xz stream breaks off", isRead: false };
}

/** Checks whether the file ends with the stream's end. If not, something has to follow the stream; otherwise it breaks off. */
async function findBzip2End(tree: BootTree, file: TreeFile, from: number): Promise<Compressed> {
  const tail = await tree.bytes(file, Math.max(from, file.size - TAIL_BYTES), TAIL_BYTES);
  if (hasBzip2End(tail)) return { end: file.size, isRead: false };
  if (tail.subarray(-BOOT_CONFIG_END.length).equals(BOOT_CONFIG_END)) return { isRead: false };
  const end = await findNext(tree, file, from + MAGIC_BYTES);
  return end === undefined
    ? { problem: "its bzip2 stream breaks off", isRead: false }
    : { end, isRead: false };
}

function hasBzip2End(tail: Buffer): boolean {
  const bits = [...tail].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const at = bits.lastIndexOf(BZIP2_END);
  // The checksum's 32 bits and the padding to a whole byte; zeros may follow.
  return at >= 0 && bits.length - at >= 80 && !bits.slice(at + 80 + 7).includes("1");
}

/** Where the next archive begins. */
async function findNext(tree: BootTree, file: TreeFile, from: number): Promise<number | undefined> {
  let before: Buffer = Buffer.alloc(0);
  let offset = from;
  for await (const part of tree.stream(file, from)) {
    const bytes = Buffer.concat([before, part]);
    const found = BEGINNINGS.map((beginning) => bytes.indexOf(beginning)).filter((at) => at >= 0);
    if (found.length > 0) return offset - before.length + Math.min(...found);
    offset += part.length;
    before = bytes.subarray(-MAGIC_BYTES + 1);
  }
  return undefined;
}
