/**
 * Reads a mount, and checks what it reads: `load.ts KIND MOUNTPOINT SECONDS`. Prints `{"count", "seconds"}`: how many operations
 * in how long. Kinds that read or list everything once take as long as they take.
 */
import { constants, lstatSync, readdirSync, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { BIG_BYTES, BIG_FILES, byteAt, FILE_BYTES, FILES, SMALL_FILES } from "./tree.ts";

const MIB = 1024 * 1024;
const PAGE = 4096;
/** As many as machines that boot at once. */
const READERS = 32;
/** A reader opens another file after so many reads. */
const READS_PER_OPEN = 50;

const [kind, mountpoint, seconds] = process.argv.slice(2) as [string, string, string];
const start = performance.now();
const end = start + Number(seconds) * 1000;
let count = 0;

/** Reads to the file's end. Returns how many MiB. */
async function readWhole(path: string, flags: number): Promise<number> {
  await using file = await open(path, flags);
  const buffer = Buffer.alloc(MIB);
  for (let at = 0; at < BIG_BYTES; at += MIB) {
    const { bytesRead } = await file.read(buffer, 0, MIB, at);
    if (bytesRead !== MIB) throw new Error(`${bytesRead} bytes at ${at}`);
  }
  return BIG_BYTES / MIB;
}

async function readBig(flags: number): Promise<void> {
  for (let i = 0; i < BIG_FILES; i++) count += await readWhole(join(mountpoint, "big", String(i)), flags);
}

async function readAt(file: FileHandle, number: number, buffer: Buffer): Promise<void> {
  const at = Math.floor(Math.random() * (FILE_BYTES / PAGE)) * PAGE;
  const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
  const expected = Math.min(buffer.length, FILE_BYTES - at);
  const right =
    bytesRead === expected && buffer.subarray(0, bytesRead).every((byte) => byte === byteAt(number));
  if (!right) throw new Error(`files/${number}: ${bytesRead} bytes at ${at}, or the wrong ones`);
  count += 1;
}

/** Reads `bytes` at random places of random files, past the page cache, until the time is over. */
async function readRandomly(bytes: number): Promise<void> {
  const buffer = Buffer.alloc(bytes);
  while (performance.now() < end) {
    const number = Math.floor(Math.random() * FILES);
    const path = join(mountpoint, "files", String(number));
    await using file = await open(path, constants.O_RDONLY | constants.O_DIRECT);
    for (let i = 0; i < READS_PER_OPEN && performance.now() < end; i++) await readAt(file, number, buffer);
  }
}

const loads: Record<string, () => Promise<unknown> | undefined> = {
  /** In MiB, one reader, through the page cache. */
  sequential: () => readBig(constants.O_RDONLY),
  /** In MiB, one reader, past the page cache. */
  direct: () => readBig(constants.O_RDONLY | constants.O_DIRECT),
  /** One reader waits for each read. */
  alone: () => readRandomly(PAGE),
  /** Many readers. */
  random: () => Promise.all(Array.from({ length: READERS }, () => readRandomly(PAGE))),
  /** Names, once each. */
  list: () => {
    count = readdirSync(join(mountpoint, "small")).length;
  },
  /** Names and attributes, once each: `ls -l`. */
  "list-long": () => {
    for (const name of readdirSync(join(mountpoint, "small"))) {
      lstatSync(join(mountpoint, "small", name));
      count += 1;
    }
  },
  /** Attributes, again and again. */
  stat: () => {
    while (performance.now() < end) {
      for (let i = 0; i < SMALL_FILES; i++) statSync(join(mountpoint, "small", String(i)));
      count += SMALL_FILES;
    }
  },
};

await loads[kind]!();
console.log(JSON.stringify({ count, seconds: (performance.now() - start) / 1000 }));
