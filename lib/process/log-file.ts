/**
 * The file that a daemon logs to. Who started it has opened it as stdout and stderr (daemon.ts). It may be moved away meanwhile, as
 * logrotate does, and then opened anew; and its disk may be full, which costs lines and nothing else.
 */
import { closeSync, fstatSync, openSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { makeDirectory } from "../directories.ts";
import { messageOf } from "../errors.ts";

const [STDOUT, STDERR] = [1, 2];
/** As daemon.ts makes it. */
const MODE = 0o640;

export class LogFile {
  readonly #path: string;
  #descriptor = STDERR;
  /** Lines that could not be written, and the last reason. */
  #lost = 0;
  #reason = "";
  /** The file ends within a line. */
  #isTorn = false;

  /** @param path absolute: a daemon changes its directory */
  constructor(path: string) {
    this.#path = path;
  }

  /** Writes a line, with its newline. One that cannot be written is counted, and the next says how many are missing. */
  write(line: string): void {
    const missing =
      this.#lost === 0
        ? ""
        : `${new Date().toISOString()} warn ${this.#lost} lines are missing here: ${this.#reason}\n`;
    const bytes = Buffer.from(`${this.#isTorn ? "\n" : ""}${missing}${line}`);
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(this.#descriptor, bytes, written);
      this.#lost = 0;
      this.#isTorn = false;
    } catch (error) {
      this.#lost += 1;
      this.#reason = messageOf(error);
      if (written > 0) this.#isTorn = true;
    }
  }

  /**
   * Opens the file of that name, made if it is missing, unless that is the one that is open; or what is open is no file, such as a
   * pipe, which nobody moves away.
   *
   * @throws Error when it cannot be opened: then the old one is written to as before
   */
  reopen(): void {
    const old = fstatSync(this.#descriptor);
    if (!old.isFile()) return;
    const now = statSync(this.#path, { throwIfNoEntry: false });
    if (now?.dev === old.dev && now.ino === old.ino) return;
    makeDirectory(dirname(this.#path));
    const descriptor = openSync(this.#path, "a", MODE);
    if (this.#descriptor !== STDERR) closeSync(this.#descriptor);
    this.#descriptor = descriptor;
    // What Node and libfuse say by themselves goes to stderr. Node has no dup2(2), but the lowest number that is free is given out
    // first: to another thread, if one opens a file just now, which then takes stdout's.
    for (const standard of [STDOUT, STDERR]) closeSync(standard);
    const opened = [STDOUT, STDERR].map(() => openSync(this.#path, "a", MODE));
    for (const number of opened) if (number > STDERR) closeSync(number);
  }
}
