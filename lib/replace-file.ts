/**
 * Atomic replacement of files. Readers see the old file or the new one, never a part, even after a process was killed and after a
 * power cut. Any number of processes may replace a file at once: temporary names are random, since processes in different
 * containers can have the same process id.
 */
import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, type Stats } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { namesInside } from "./directories.ts";

/** A file's name until it is complete. */
const UNFINISHED = ".new";
/** Milliseconds after which an unfinished file counts as left by a killed process: even a slow disk does not take longer. */
const ABANDONED_MS = 24 * 60 * 60 * 1000;
/** Errors of a file system without fsync(2) of directories. */
const NOT_SUPPORTED = new Set(["EINVAL", "ENOSYS", "ENOTSUP", "EISDIR"]);

/** A unique name next to `path`, for a file that will be renamed to it. */
export function unfinishedNameOf(path: string): string {
  return `${path}.${randomBytes(8).toString("hex")}${UNFINISHED}`;
}

/**
 * Replaces or creates a file. Its bytes are on disk before it gets its name, or it could be empty after a power cut;
 * syncDirectory() makes sure that the name is on disk as well.
 *
 * @returns the new file's status
 * @throws Error with the system's code; then nothing is left, and the old file is as it was
 */
export async function replaceFile(path: string, content: string | Uint8Array, mode = 0o600): Promise<Stats> {
  const temporary = unfinishedNameOf(path);
  try {
    await using file = await open(temporary, "wx", mode);
    await file.writeFile(content);
    await file.datasync();
    await rename(temporary, path);
    return await file.stat();
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
}

/** Makes sure that names created, changed or removed in a directory are on disk. @throws Error with the system's code */
export async function syncDirectory(directory: string): Promise<void> {
  await using opened = await open(directory, "r");
  await opened.sync().catch(unlessUnsupported);
}

/** syncDirectory(), synchronously. */
export function syncDirectorySync(directory: string): void {
  const descriptor = openSync(directory, "r");
  try {
    fsyncSync(descriptor);
  } catch (error) {
    unlessUnsupported(error as NodeJS.ErrnoException);
  } finally {
    closeSync(descriptor);
  }
}

function unlessUnsupported(error: NodeJS.ErrnoException): void {
  if (!NOT_SUPPORTED.has(error.code ?? "")) throw error;
}

/**
 * Whether a file was left by a killed process. A time in the future comes from a wrong clock.
 *
 * @param written when it was last written to, in milliseconds since 1970
 */
export function isAbandoned(name: string, written: number): boolean {
  return name.endsWith(UNFINISHED) && Math.abs(Date.now() - written) > ABANDONED_MS;
}

/** Removes what killed processes have left in a directory, judged by age alone: a writer may be in another container. Never rejects. */
export async function removeAbandoned(directory: string): Promise<void> {
  for (const name of await namesInside(directory)) {
    const path = join(directory, name);
    const status = name.endsWith(UNFINISHED) ? await stat(path).catch(() => undefined) : undefined;
    if (status !== undefined && isAbandoned(name, status.mtimeMs))
      await rm(path, { force: true }).catch(() => {});
  }
}
