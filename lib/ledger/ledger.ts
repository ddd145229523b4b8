/** The boot ledger as it lies on the disk, rotated logs included: its lines in order, and whether they are one chain. */
import { createHash } from "node:crypto";
import { createReadStream, type Stats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { FormatError, isAbsent, messageOf, UserError } from "../errors.ts";
import { parseLine, type Transfer } from "./line.ts";

/** Bytes of a line. Two paths of 4,096 bytes, each three for one, and the rest. */
const LONGEST_LINE = 32_768;
const LINE_END = 0x0a;

/** What a line is, where it stands, and what is wrong with it. */
export interface Entry {
  readonly file: string;
  /** From 1. */
  readonly number: number;
  /** Undefined of a line that is none of the ledger's. */
  readonly transfer: Transfer | undefined;
  /** Empty when all is well. */
  readonly problem: string;
  /** SHA-256 of the line. */
  readonly sha256: string;
}

interface Found {
  readonly path: string;
  readonly status: Stats;
}

/** log.2 is older than log.1, where one tick of the clock saw both. */
function byNumber(a: Found, b: Found): number {
  return a.path.localeCompare(b.path, "en", { numeric: true });
}

/**
 * A log and those that were rotated from it, oldest first, compressed or not.
 *
 * @throws UserError when there is none of them
 */
export async function logFiles(log: string): Promise<string[]> {
  const directory = dirname(log);
  const name = basename(log);
  const names = await readdir(directory).catch(() => []);
  const isOne = (one: string) => one === name || one.startsWith(`${name}.`) || one.startsWith(`${name}-`);
  const found: Found[] = [];
  for (const one of names.filter(isOne)) {
    const path = join(directory, one);
    const status = await stat(path).catch(() => undefined);
    if (status?.isFile()) found.push({ path, status });
  }
  if (found.length === 0) {
    throw new UserError(
      `${log}: there is no boot ledger: have dnsmasq write one (docs/ROLLOUTS.md, "What each machine got"), or name it by --boot-log`,
    );
  }
  const isLog = ({ path }: Found) => Number(path === log);
  found.sort((a, b) => isLog(a) - isLog(b) || a.status.mtimeMs - b.status.mtimeMs || byNumber(b, a));
  return found.map(({ path }) => path);
}

/**
 * All lines of the files, one after the other, each compared with what the next one says of it. A line at a time is in memory.
 *
 * @param files as of logFiles()
 * @throws UserError when one cannot be read
 */
export async function* readLedger(files: readonly string[]): AsyncGenerator<Entry> {
  let before: string | undefined;
  let isFirst = true;
  for (const file of files) {
    let number = 0;
    for await (const { bytes, problem } of linesOf(file)) {
      number += 1;
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      const entry = entryOf(bytes, problem);
      const { transfer, previous } = entry;
      // What the oldest one follows was rotated away.
      const follows = transfer === undefined || isFirst || previous === before;
      yield {
        file,
        number,
        sha256,
        transfer,
        problem: follows ? entry.problem : "the line before it is not the one that it was written after",
      };
      before = sha256;
      isFirst = false;
    }
  }
}

function entryOf(
  bytes: Buffer,
  problem: string,
): { transfer: Transfer | undefined; previous: string | undefined; problem: string } {
  const wrong = (why: string) => ({ transfer: undefined, previous: undefined, problem: why });
  if (problem !== "") return wrong(problem);
  try {
    return { ...parseLine(bytes.toString("utf8", 0, bytes.length - 1)), problem };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return wrong(`it is no line of the ledger: ${error.message}`);
  }
}

/** With their line ends. Of one that is too long, its end. */
async function* linesOf(file: string): AsyncGenerator<{ bytes: Buffer; problem: string }> {
  let rest: Buffer = Buffer.alloc(0);
  let problem = "";
  try {
    for await (const chunk of open(file)) {
      const bytes = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer]);
      let start = 0;
      for (let end = bytes.indexOf(LINE_END); end >= 0; end = bytes.indexOf(LINE_END, start)) {
        const line = bytes.subarray(start, end + 1);
        yield { bytes: line, problem: problem || lengthProblem(line.length) };
        problem = "";
        start = end + 1;
      }
      rest = bytes.subarray(start);
      problem ||= lengthProblem(rest.length);
      if (problem !== "") rest = rest.subarray(rest.length);
    }
  } catch (error) {
    if (isAbsent(error)) return; // It was rotated away since.
    throw new UserError(`${file} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  if (rest.length > 0 || problem !== "") yield { bytes: rest, problem: problem || "it has no end" };
}

function lengthProblem(length: number): string {
  return length > LONGEST_LINE ? `it is longer than ${LONGEST_LINE} bytes` : "";
}

function open(file: string): Readable {
  const stream = createReadStream(file);
  if (!file.endsWith(".gz")) return stream;
  const gunzip = createGunzip();
  stream.on("error", (error) => gunzip.destroy(error));
  return stream.pipe(gunzip);
}
