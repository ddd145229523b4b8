/**
 * A log of the files that were sent by HTTP, for `icfs boots`; lib/ledger/http-line.ts describes its lines. It never delays an
 * answer: lines are written in batches, and when the disk is full or hangs, lines beyond a limit are counted and dropped.
 */
import { appendFile, rename, stat } from "node:fs/promises";
import { before } from "../deadline.ts";
import { messageOf } from "../errors.ts";
import { type HttpAnswer, httpLine } from "../ledger/http-line.ts";
import type { Log } from "../log.ts";

/** Bytes after which the file is renamed to FILE.1, replacing the previous one. The two take at most twice as much. */
export const MOST_BYTES = 64 * 1024 * 1024;
/** Bytes that may wait to be written. */
const MOST_WAITING = 1024 * 1024;
/** Milliseconds to write the remaining lines at the end. */
const LAST_LINES_MS = 2000;
/** Readable by the file's group as well. */
const MODE = 0o640;

export class AccessLog {
  readonly #file: string;
  readonly #log: Log;
  readonly #mostBytes: number;
  #waiting = "";
  #missed = 0;
  #writing: Promise<void> | undefined;

  constructor(file: string, log: Log, mostBytes = MOST_BYTES) {
    this.#file = file;
    this.#log = log;
    this.#mostBytes = mostBytes;
  }

  add(answer: HttpAnswer): void {
    const line = httpLine(answer);
    if (this.#waiting.length + line.length > MOST_WAITING) {
      this.#missed += 1;
      return;
    }
    this.#waiting += line;
    this.#writing ??= this.#write();
  }

  /**
   * Resolves when everything is written, or cannot be. @param limit milliseconds: a disk that hangs must not keep the process
   * alive
   */
  async end(limit = LAST_LINES_MS): Promise<void> {
    if (this.#writing === undefined) return;
    const deadline = performance.now() + limit;
    await before(deadline, this.#writing, `${this.#file} takes no more lines`).catch((error) =>
      this.#log.warn(messageOf(error)),
    );
  }

  async #write(): Promise<void> {
    while (this.#waiting !== "") {
      const lines = this.#waiting;
      this.#waiting = "";
      try {
        // Open by name each time: logrotate may have renamed the file.
        await appendFile(this.#file, lines, { mode: MODE });
        const { size } = await stat(this.#file);
        if (size >= this.#mostBytes) await rename(this.#file, `${this.#file}.1`);
      } catch (error) {
        this.#log.warn(`what was sent is not logged: ${this.#file}: ${messageOf(error)}`);
      }
      if (this.#missed > 0) {
        this.#log.warn(`${this.#file}: it was too slow for ${this.#missed} lines, which are missing`);
        this.#missed = 0;
      }
    }
    this.#writing = undefined;
  }
}
