/** Reads the boot ledger from disk, including rotated logs: its lines in order, and whether they form one chain. */
import { createHash } from "node:crypto";
import type { Stats } from "node:fs";
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { FormatError, isAbsent, messageOf, UserError } from "../errors.ts";
import { parseLine, type Transfer } from "./line.ts";

/** The longest line in bytes: two paths of 4,096 bytes, with up to three characters for each byte, and the rest. */
const LONGEST_LINE = 32_768;
const LINE_END = 0x0a;
const GZIP = ".gz";

/** A line, its place, and what is wrong with it. */
export interface Entry {
  readonly file: string;
  /** From 1. */
  readonly number: number;
  /** Undefined if it is not a line of the ledger. */
  readonly transfer: Transfer | undefined;
  /** Empty if there is no problem. */
  readonly problem: string;
  /** SHA-256 of the line. */
  readonly sha256: string;
}

interface Found {
  readonly path: string;
  readonly status: Stats;
  readonly number: number | undefined;
  readonly date: string | undefined;
}

/** What logrotate appends to a log's name: a number, or a date; and then what compresses it. Other files are copies. */
const ROTATED = /^(?:\.(\d{1,6})|[.-](\d[\d-]*))(\.(?:gz|xz|bz2|zst))?$/;

/**
 * Sorts rotated logs, the oldest first. log.2 is older than log.1, log-20261101 than log-20261108. Their times tell the same, but
 * copies of them have others. They count only if logrotate has changed its way of naming.
 */
function byAge(a: Found, b: Found): number {
  if (a.number !== undefined && b.number !== undefined) return b.number - a.number;
  if (a.date !== undefined && b.date !== undefined) return a.date < b.date ? -1 : 1;
  return a.status.mtimeMs - b.status.mtimeMs;
}

/** The open files of a ledger. While they are open, logrotate cannot make a line disappear or be read twice. */
export interface OpenLedger extends AsyncDisposable {
  readonly files: readonly LedgerFile[];
}

interface LedgerFile {
  readonly path: string;
  readonly handle: FileHandle;
}

/** How often logrotate may run between listing the files and opening them. */
const ATTEMPTS = 5;

/**
 * Opens the ledger: a log and those rotated from it, oldest first, compressed or not.
 *
 * @throws UserError when there are none, or one cannot be opened
 */
export async function openLedger(log: string): Promise<OpenLedger> {
  const opened = await openLogs(log);
  if (opened !== undefined) return opened;
  throw new UserError(
    `${log}: there is no boot ledger: have dnsmasq write one (docs/ROLLOUTS.md, "What each machine got"), or name it by --boot-log`,
  );
}

/** Opens any log with its rotated files; undefined when there is none. @throws UserError when one cannot be opened */
export async function openLogs(log: string): Promise<OpenLedger | undefined> {
  for (let attempt = 1; ; attempt++) {
    await using stack = new AsyncDisposableStack();
    const found = await listFiles(log);
    if (found.length === 0) return undefined;
    const files: LedgerFile[] = [];
    for (const { path, status } of found) {
      const handle = await open(path).catch((error) => {
        if (isAbsent(error)) return undefined;
        throw new UserError(`${path} cannot be read: ${messageOf(error)}`, { cause: error });
      });
      if (handle === undefined) break;
      stack.use(handle);
      if ((await handle.stat()).ino !== status.ino) break;
      files.push({ path, handle });
    }
    // A file that was renamed in the meantime may have been missed.
    const isSame =
      files.length === found.length && (await listFiles(log)).map(keyOf).join() === found.map(keyOf).join();
    if (isSame) {
      const opened = stack.move();
      return { files, [Symbol.asyncDispose]: () => opened.disposeAsync() };
    }
    if (attempt === ATTEMPTS) throw new UserError(`${log} is being rotated all the time: try again`);
  }
}

function keyOf({ path, status }: Found): string {
  return `${path} ${status.ino}`;
}

async function listFiles(log: string): Promise<Found[]> {
  const directory = dirname(log);
  const name = basename(log);
  const names = new Set(await readdir(directory).catch(() => []));
  const rotated: Found[] = [];
  for (const one of names) {
    const [, number, date, packed = ""] =
      (one.startsWith(name) && ROTATED.exec(one.slice(name.length))) || [];
    if (number === undefined && date === undefined) continue;
    // gzip removes the original only after compressing it, so both may exist.
    if (packed !== "" && names.has(one.slice(0, -packed.length))) continue;
    const path = join(directory, one);
    const status = await stat(path).catch(() => undefined);
    if (!status?.isFile()) continue;
    if (packed !== "" && packed !== GZIP)
      throw new UserError(`${path} is not packed by gzip: unpack it first`);
    rotated.push({ path, status, number: number === undefined ? undefined : Number(number), date });
  }
  rotated.sort(byAge);
  const status = await stat(log).catch(() => undefined);
  return status?.isFile() ? [...rotated, { path: log, status, number: undefined, date: undefined }] : rotated;
}

/**
 * All lines of the files in order. Each names the hash of the line before it, which is compared. Only one line at a time is in
 * memory.
 *
 * @throws UserError when a file cannot be read
 */
export async function* readLedger(ledger: OpenLedger): AsyncGenerator<Entry> {
  let before: string | undefined;
  let isFirst = true;
  for await (const { file, number, bytes, problem } of readLines(ledger)) {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const entry = entryOf(bytes, problem);
    const { transfer, previous } = entry;
    // The predecessor of the oldest line was rotated away.
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

export interface LogLine {
  readonly file: string;
  /** From 1. */
  readonly number: number;
  /** With its line ending. Only the end of an overlong line. */
  readonly bytes: Buffer;
  /** Why it is not a valid line; empty if it is. */
  readonly problem: string;
}

/** @throws UserError when a file cannot be read */
export async function* readLines({ files }: OpenLedger): AsyncGenerator<LogLine> {
  for (const file of files) {
    let number = 0;
    for await (const line of linesOf(file)) {
      number += 1;
      yield { file: file.path, number, ...line };
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
    return wrong(`it is not a line of the ledger: ${error.message}`);
  }
}

async function* linesOf(file: LedgerFile): AsyncGenerator<{ bytes: Buffer; problem: string }> {
  let rest: Buffer = Buffer.alloc(0);
  let problem = "";
  try {
    for await (const chunk of bytesOf(file)) {
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
    throw new UserError(`${file.path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  if (rest.length > 0 || problem !== "") yield { bytes: rest, problem: problem || "it has no end" };
}

function lengthProblem(length: number): string {
  return length > LONGEST_LINE ? `it is longer than ${LONGEST_LINE} bytes` : "";
}

function bytesOf({ path, handle }: LedgerFile): Readable {
  const stream = handle.createReadStream({ autoClose: false });
  if (!path.endsWith(GZIP)) return stream;
  const gunzip = createGunzip();
  stream.on("error", (error) => gunzip.destroy(error));
  return stream.pipe(gunzip);
}
