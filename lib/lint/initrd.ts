/**
 * What is in an initrd: one or several cpio archives, one after the other, each compressed or not (the kernel's
 * Documentation/driver-api/early-userspace/buffer-format.rst). It is read through once, in a stream; formats that Node.js cannot
 * decompress are checked as far as their frames say.
 */

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { messageOf } from "../errors.ts";
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import { CpioReader } from "./cpio.ts";

export interface Initrd {
  /** Why a kernel cannot unpack it, as a clause; undefined where nothing says so. */
  readonly problem: string | undefined;
  /** Kernel versions for which it has modules; empty where it has none, or cannot be looked into. */
  readonly moduleVersions: ReadonlySet<string>;
}

const XZ_MAGIC = Buffer.from("fd377a585a00", "hex");
const ZSTD_MAGIC = Buffer.from("28b52ffd", "hex");
/** What is longer when it is unpacked is not looked through: no machine has the memory. */
const MAX_UNPACKED_BYTES = 8 * 1024 ** 3;

export async function readInitrd(tree: BootTree, file: TreeFile): Promise<Initrd> {
  const moduleVersions = new Set<string>();
  let offset = 0;
  while (offset < file.size) {
    const start = await nextArchive(tree, file, offset);
    if (start === undefined) break;
    const { at, magic } = start;
    if (magic.toString("latin1", 0, 5) === "07070") {
      const archive = new CpioReader(moduleVersions);
      const used = await readPlain(tree, file, at, archive);
      if (used === undefined) return { problem: archive.problem, moduleVersions };
      offset = at + used;
      continue;
    }
    const problem = await readCompressed(tree, file, at, magic, moduleVersions);
    return { problem, moduleVersions };
  }
  return { problem: undefined, moduleVersions };
}

/** Zeros between archives are passed over. */
async function nextArchive(tree: BootTree, file: TreeFile, from: number) {
  let offset = from;
  for await (const part of tree.stream(file, from)) {
    const begin = firstByte(part);
    if (begin >= 0) return { at: offset + begin, magic: await tree.bytes(file, offset + begin, 8) };
    offset += part.length;
  }
  return undefined;
}

/** Bytes of one archive that is not compressed; undefined where it breaks off, and `archive` says why. */
async function readPlain(
  tree: BootTree,
  file: TreeFile,
  from: number,
  archive: CpioReader,
): Promise<number | undefined> {
  for await (const part of tree.stream(file, from)) {
    archive.write(part);
    if (archive.problem !== undefined) return undefined;
    if (archive.ended) return archive.length;
  }
  archive.end();
  return archive.problem === undefined ? archive.length : undefined;
}

async function readCompressed(
  tree: BootTree,
  file: TreeFile,
  from: number,
  magic: Buffer,
  moduleVersions: Set<string>,
): Promise<string | undefined> {
  if (magic.subarray(0, 6).equals(XZ_MAGIC)) {
    // An xz stream ends with YZ, and with zeros in fours after that (the .xz file format, 2.1.2.4).
    const end = (await tree.bytes(file, Math.max(from, file.size - 512), 512)).toString("latin1");
    return /YZ\0*$/.test(end) ? undefined : "its xz stream breaks off";
  }
  const isGzip = magic[0] === 0x1f && magic[1] === 0x8b;
  if (!isGzip && !magic.subarray(0, 4).equals(ZSTD_MAGIC)) return undefined;
  const unpack = isGzip ? createGunzip() : createZstdDecompress();
  let archive = new CpioReader(moduleVersions);
  let unpacked = 0;
  try {
    await pipeline(Readable.from(tree.stream(file, from)), unpack, async (parts: AsyncIterable<Buffer>) => {
      for await (const part of parts) {
        unpacked += part.length;
        if (unpacked > MAX_UNPACKED_BYTES) throw new Error("it is too long to be unpacked");
        let rest = archive.write(part);
        for (let begin = firstByte(rest); archive.ended && begin >= 0; begin = firstByte(rest)) {
          archive = new CpioReader(moduleVersions);
          rest = archive.write(rest.subarray(begin));
        }
      }
    });
  } catch (error) {
    return `its ${isGzip ? "gzip" : "zstd"} stream is damaged or breaks off (${messageOf(error)})`;
  }
  archive.end();
  return archive.problem;
}

/** Where zeros end. -1: nowhere. */
function firstByte(bytes: Uint8Array): number {
  return bytes.findIndex((byte) => byte !== 0);
}
