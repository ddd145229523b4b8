/**
 * A daemon's log file. The parent has opened it as stdout and stderr (daemon.ts). logrotate may move it away, and then it is
 * reopened. If its disk is full, only log lines are lost.
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
/** The mode that daemon.ts uses. */
const MODE = 0o640;
const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK, O_NOCTTY } = constants;
/** Opening must not wait, especially not for a pipe's reader: the same thread answers all readers of the mount. */
const FLAGS = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY;

const CHOOSE_ANOTHER = "choose another file with --log-file";

/**
 * Makes the directory of a log if necessary, and makes sure that nobody else can have put something in the log's place, such as a link to
 * another file of this user's.
 *
 * A directory of root's is trusted, unless everybody can write to it without the sticky bit. A user's own may be writable by its group, as
 * all are with a umask of 002. There, and in a directory of root's to which everybody can write, such as /tmp, an existing log must be
 * root's or this user's.
 *
 * @throws Error; UserError when somebody else could have
 */
export function prepareLogDirectory(path: string): void {
  const directory = dirname(path);
  makeDirectory(directory, 0o755);
  const { uid, mode } = statSync(directory);
  const isRoots = uid === 0 && lstatSync(directory).uid === 0;
  if (!isRoots || (mode & 0o1002) === 0o002) mustBeOwn(directory, CHOOSE_ANOTHER, 0o002);
  // A group may have write access to /var/log, for system loggers that do not run as root; only their own files are theirs.
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
  /** The file ends with an incomplete line. */
  #isTorn = false;

  /** @param path absolute: a daemon changes its directory */
  constructor(path: string) {
    this.#path = path;
  }

  /** Writes a line, with its newline. Lines that cannot be written are counted, and the next one says how many are missing. */
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
        // Some special files accept no bytes without an error: the loop would not end.
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
   * Opens the file of that name, and creates it if it is missing, unless it is open already, or the log is not a file but, for
   * example, a pipe, which nobody moves away.
   *
   * @throws Error when it cannot be opened: then the old one stays in use
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
    // Node and libfuse write their own messages to stderr. Node has no dup2(2), but open(2) returns the lowest free descriptor. Another
    // thread that opens a file at the same time may get it; its descriptor is not ours to close.
    for (const standard of [STDOUT, STDERR]) {
      if (isFile(standard, old)) closeSync(standard);
      const opened = openSync(this.#path, FLAGS, MODE);
      if (opened > STDERR) closeSync(opened);
    }
  }
}

/** The open file of this descriptor; a pipe is opened again without blocking, so that writing does not wait for its reader. */
function withoutWaiting(descriptor: number): number {
  if (!fstatSync(descriptor).isFIFO()) return descriptor;
  try {
    return openSync(`/proc/self/fd/${descriptor}`, FLAGS);
  } catch {
    // Without a reader, writing fails at once.
    return descriptor;
  }
}

/** Whether this descriptor has that file open. */
function isFile(descriptor: number, { dev, ino }: Stats): boolean {
  try {
    const now = fstatSync(descriptor);
    return now.dev === dev && now.ino === ino;
  } catch {
    return false;
  }
}

/** @throws Error when it cannot be opened, or is not a file: nobody could move a pipe away again */
function openFile(path: string): number {
  const descriptor = openSync(path, FLAGS, MODE);
  if (fstatSync(descriptor).isFile()) return descriptor;
  closeSync(descriptor);
  throw new UserError(`${path} is not a file`);
}
