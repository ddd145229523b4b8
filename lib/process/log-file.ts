/**
 * The file that a daemon logs to. Who started it has opened it as stdout and stderr (daemon.ts). It may be moved away meanwhile, as
 * logrotate does, and then opened anew; and its disk may be full, which costs lines and nothing else.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { makeDirectory, mustBeOwn } from "../directories.ts";
import { messageOf, UserError } from "../errors.ts";

const [STDOUT, STDERR] = [1, 2];
/** As daemon.ts makes it. */
const MODE = 0o640;
const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK, O_NOCTTY } = constants;
/** Opening must not wait, for whoever reads a pipe above all: the thread that does it answers all readers of the mount. */
const FLAGS = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY;

const CHOOSE_ANOTHER = "choose another file with --log-file";

/**
 * Makes the directory of a log, if need be, and makes sure that nobody else can have put something in the log's place, such as a link to
 * another file of this user's. Directories of root's are the administrator's. A user's own may be his group's as well: with a umask of 002 all are. Where more
 * than their owner may write in them, as in /tmp, the file itself is looked at.
 *
 * @throws Error; UserError when somebody can
 */
export function prepareLogDirectory(path: string): void {
  const directory = dirname(path);
  makeDirectory(directory, 0o755);
  const { uid, mode } = statSync(directory);
  const isRoots = uid === 0 && lstatSync(directory).uid === 0;
  if (!isRoots || (mode & 0o1002) === 0o002) mustBeOwn(directory, CHOOSE_ANOTHER, 0o002);
  // A group may write in /var/log, where the system's loggers are no root, and theirs is what they make.
  const file =
    (mode & (isRoots ? 0o002 : 0o022)) === 0 ? undefined : lstatSync(path, { throwIfNoEntry: false });
  if (file !== undefined && file.uid !== 0 && file.uid !== process.geteuid!()) {
    throw new UserError(`${path} belongs to another user: ${CHOOSE_ANOTHER}`);
  }
}

export class LogFile {
  readonly #path: string;
  #descriptor = withoutWaiting(STDERR);
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
      while (written < bytes.length) {
        const count = writeSync(this.#descriptor, bytes, written);
        // Some special files take nothing, and say nothing: that would not end.
        if (count === 0) throw new Error("nothing is written");
        written += count;
      }
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
    prepareLogDirectory(this.#path);
    const descriptor = openFile(this.#path);
    if (this.#descriptor !== STDERR) closeSync(this.#descriptor);
    this.#descriptor = descriptor;
    // What Node and libfuse say by themselves goes to stderr. Node has no dup2(2), but the lowest number that is free is given out
    // first: to another thread, if one opens a file just now. What such a thread has is not ours to close.
    for (const standard of [STDOUT, STDERR]) {
      if (isFile(standard, old)) closeSync(standard);
      const opened = openSync(this.#path, FLAGS, MODE);
      if (opened > STDERR) closeSync(opened);
    }
  }
}

/** What is open by this number, by another one where it is a pipe: with this, writing would wait for whoever is to read it. */
function withoutWaiting(descriptor: number): number {
  if (!fstatSync(descriptor).isFIFO()) return descriptor;
  try {
    return openSync(`/proc/self/fd/${descriptor}`, FLAGS);
  } catch {
    // Nobody reads it: writing fails at once.
    return descriptor;
  }
}

/** Whether that file is open by this number. */
function isFile(descriptor: number, { dev, ino }: Stats): boolean {
  try {
    const now = fstatSync(descriptor);
    return now.dev === dev && now.ino === ino;
  } catch {
    return false;
  }
}

/** @throws Error when it cannot be opened, or is no file: nobody could move a pipe away again */
function openFile(path: string): number {
  const descriptor = openSync(path, FLAGS, MODE);
  if (fstatSync(descriptor).isFile()) return descriptor;
  closeSync(descriptor);
  throw new UserError(`${path} is no file`);
}
