/**
 * Reads a mount at random, bypassing the page cache, until SIGTERM, and checks every byte: `readers.ts MOUNTPOINT
 * releases|files`. With `releases`, an open file must belong to one release, and files opened later never to an older one. A
 * directory that is served while it changes guarantees neither (`files`). Prints one Trouble per line, and at the end its Totals.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BLOCK, contentOf, LARGE, SMALL, type SoakFile } from "./tree.ts";

export interface Trouble {
  /** Milliseconds since 1970, when it began. */
  readonly since: number;
  readonly path: string;
  /** An errno's name, or what was wrong with the bytes. */
  readonly what: string;
}

export interface Totals {
  readonly opens: number;
  readonly bytes: number;
}

const READERS = 4;
/** The longest pause between two files of a reader in milliseconds; half of that on average. */
const MOST_PAUSE_MS = 2400;
/** The read size of TFTP servers and `cp`. */
const PIECE = 128 * 1024;
/** How many pieces are read of a large file that is not read completely. */
const PIECES_AT_RANDOM = 3;
/** The shares of opens that are of small files, and of large ones that are read completely. */
const SMALL_SHARE = 0.5;
const WHOLE_SHARE = 0.1;

const [mountpoint, unit] = process.argv.slice(2) as [string, "releases" | "files"];
const ending = new AbortController();
process.on("SIGTERM", () => ending.abort());

/** The newest release seen of each file. */
const seen = new Map<string, number>();
let [opens, bytes] = [0, 0];

class WrongBytes extends Error {}

/** Checks the bytes, and returns which release they belong to. @throws WrongBytes */
function check(file: SoakFile, at: number, read: Buffer): number {
  if (read.length !== Math.min(PIECE, file.size - at)) throw new WrongBytes(`${read.length} bytes at ${at}`);
  const release = read.readUInt32LE(0);
  for (let block = 0; block < read.length; block += unit === "files" ? BLOCK : PIECE) {
    const of = unit === "files" ? read.readUInt32LE(block) : release;
    const length = unit === "files" ? Math.min(BLOCK, read.length - block) : read.length;
    if (!contentOf(file, of, at + block, length).equals(read.subarray(block, block + length)))
      throw new WrongBytes(`not those of release ${of} at ${at + block}`);
  }
  return release;
}

async function readPiece(handle: FileHandle, file: SoakFile, at: number): Promise<number> {
  const buffer = Buffer.alloc(PIECE);
  const { bytesRead } = await handle.read(buffer, 0, PIECE, at);
  bytes += bytesRead;
  return check(file, at, buffer.subarray(0, bytesRead));
}

/** @throws WrongBytes; system errors */
async function readFile(file: SoakFile, places: readonly number[]): Promise<void> {
  const before = seen.get(file.path) ?? 0;
  await using handle = await open(join(mountpoint, file.path), constants.O_RDONLY | constants.O_DIRECT);
  opens += 1;
  let first: number | undefined;
  for (const at of places) {
    if (ending.signal.aborted) return;
    const release = await readPiece(handle, file, at);
    first ??= release;
    if (unit === "files") continue;
    if (release !== first) throw new WrongBytes(`of release ${first}, and then of ${release}`);
    if (release < before) throw new WrongBytes(`of release ${release}, after ${before}`);
    seen.set(file.path, Math.max(release, seen.get(file.path) ?? 0));
  }
}

const oneOf = <T>(all: readonly T[]): T => all[Math.floor(Math.random() * all.length)]!;

async function readUntilTheEnd(): Promise<void> {
  while (!ending.signal.aborted) {
    const kind = Math.random();
    const file = oneOf(kind < SMALL_SHARE ? SMALL : LARGE);
    const all = Array.from({ length: Math.ceil(file.size / PIECE) }, (_, i) => i * PIECE);
    const whole = kind < SMALL_SHARE + WHOLE_SHARE;
    const places = whole ? all : Array.from({ length: PIECES_AT_RANDOM }, () => oneOf(all));
    const since = Date.now();
    try {
      await readFile(file, places);
    } catch (error) {
      const what = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
      console.log(JSON.stringify({ since, path: file.path, what } satisfies Trouble));
    }
    await sleep(Math.random() * MOST_PAUSE_MS, undefined, { signal: ending.signal }).catch(() => {});
  }
}

await Promise.all(Array.from({ length: READERS }, readUntilTheEnd));
console.log(JSON.stringify({ opens, bytes } satisfies Totals));
