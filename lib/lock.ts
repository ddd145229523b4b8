/**
 * Locks between processes that share a directory, across containers as well. Node has no file locks, but SQLite takes fcntl(2)
 * locks. The system releases them when a process ends, however it ends, so a lock is never stale. They also exclude other holders
 * within the same process.
 */
import { accessSync, constants, lstatSync, writeFileSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { UserError } from "./errors.ts";

/** SQLite's result code when the lock is taken. */
const SQLITE_BUSY = 5;
/** SQLite's result codes when the file has other content. */
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;
/** Milliseconds. Work under a lock takes a few of them on a disk, and a few thousand on a very slow one. */
const PATIENCE_MS = 30_000;
const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 100;

/**
 * Does the work under the lock, and returns its result.
 *
 * @param file as in takeLock()
 * @param patience milliseconds
 * @throws UserError when somebody else holds it for longer than `patience`, or the file is not a lock; Error when it cannot be taken;
 *   whatever the work throws
 */
export async function withLock<T>(file: string, work: () => Promise<T>, patience = PATIENCE_MS): Promise<T> {
  const lock = await takeLock(file, patience);
  if (lock === undefined) {
    const has = patience === 0 ? `has ${file} locked` : `has had ${file} locked for ${patience / 1000} s`;
    throw new UserError(
      `another process ${has}: end it if it hangs or is stopped. If no process does, its file system has no locks: choose a directory on another`,
    );
  }
  try {
    return await work();
  } finally {
    lock.close();
  }
}

/** Keeps others out until it is closed, or this process has ended. */
export type Lock = Pick<DatabaseSync, "close" | "isOpen">;

/**
 * Takes the lock until it is closed; undefined when somebody else holds it for longer than `patience`.
 *
 * @param file represents the lock, is created if it is missing, and stays empty. Its directory must exist
 * @param patience milliseconds
 * @throws UserError when the file is not a lock; Error when it cannot be taken
 */
export async function takeLock(file: string, patience: number): Promise<Lock | undefined> {
  const { DatabaseSync } = await import("node:sqlite");
  const until = performance.now() + patience;
  const existing = pathToFileURL(file);
  // SQLite never creates it.
  existing.search = "?mode=rw";
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    // SQLite would not say what is wrong with the file. Node must not open it to find out: closing it would release this process's lock.
    // Through a link, a file elsewhere would be created or locked.
    const status = lstatSync(file, { throwIfNoEntry: false });
    if (status === undefined) makeEmpty(file);
    else if (!status.isFile())
      throw new UserError(`${file}, which is used as a lock, is not a file: remove it`);
    else accessSync(file, constants.R_OK | constants.W_OK);
    const lock = new DatabaseSync(existing);
    try {
      // Nothing is ever written to it, and no second file is needed.
      lock.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
      return lock;
    } catch (error) {
      lock.close();
      const { errcode, message } = error as Error & { readonly errcode?: number };
      if (errcode === SQLITE_NOTADB || errcode === SQLITE_CORRUPT)
        throw new UserError(`${file}, which is used as a lock and should be empty, is damaged: remove it`);
      if (errcode !== SQLITE_BUSY) throw new Error(`${file} cannot be locked: ${message}`, { cause: error });
    }
    if (performance.now() >= until) return undefined;
    await sleep(pause * (0.5 + Math.random()));
  }
}

function makeEmpty(file: string): void {
  try {
    writeFileSync(file, "", { mode: 0o600, flag: "wx" });
  } catch (error) {
    // Another process has created it.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}
