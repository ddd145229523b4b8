/**
 * Reads files that icfs keeps on this host's disks. Something else may have the name: a pipe, whose open() never returns; a link to an
 * endless device; a sparse file of any size. Anybody who shares the directory can put it there, and a damaged disk can show it.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** open() must not wait for a pipe's other end, or for a device. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/** What is at a path is not a file, or a file that is too large. */
export class NoFileError extends Error {}

/**
 * A file's bytes, and its status.
 *
 * @param most bytes that it may have
 * @throws Error with the system's code when it cannot be read; NoFileError when it is not a file, or larger
 */
export async function readKept(path: string, most: number): Promise<{ bytes: Buffer; status: Stats }> {
  await using file: FileHandle = await open(path, FLAGS);
  const status = await file.stat();
  mustBeFile(path, status, most);
  // No more than its size: some files in /proc have size 0 and no end, and icfs's own files do not grow.
  // Not from Node's pool of buffers, since chunks stay in memory.
  const bytes = Buffer.allocUnsafeSlow(status.size);
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return { bytes: bytes.subarray(0, length), status };
}

/** readKept(), synchronously: for files of a few bytes. */
export function readKeptSync(path: string, most: number): Buffer {
  const descriptor = openSync(path, FLAGS);
  try {
    const status = fstatSync(descriptor);
    mustBeFile(path, status, most);
    return readUpTo(descriptor, status.size);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The content of what the user has named: a file, or a shell's `<(command)`, which is a pipe with a writer. Other pipes may have no writer,
 * and a device may be endless.
 *
 * @param most bytes that it may have
 * @throws Error with the system's code when it cannot be read; Error when it is something else, or larger
 */
export function readNamedSync(path: string, most: number): Buffer {
  if (!isSubstituted(path, statSync(path))) return readKeptSync(path, most);
  const descriptor = openSync(path, "r");
  try {
    const bytes = readUpTo(descriptor, most + 1);
    if (bytes.length > most) throw new Error(`${path} has more than ${most} bytes`);
    return bytes;
  } finally {
    closeSync(descriptor);
  }
}

function readUpTo(descriptor: number, most: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(most);
  let length = 0;
  while (length < most) {
    const count = readSync(descriptor, bytes, length, most - length, null);
    if (count === 0) break;
    length += count;
  }
  return bytes.subarray(0, length);
}

/** Whether a path is a shell's replacement for `<(command)`, or this process's piped input. */
export function isSubstituted(path: string, status: Stats): boolean {
  return status.isFIFO() && /^\/(dev\/(fd\/|stdin$)|proc\/[^/]+\/fd\/)/.test(path);
}

function mustBeFile(path: string, status: Stats, most: number): void {
  if (!status.isFile()) throw new NoFileError(`${path} is not a file`);
  if (status.size > most)
    throw new NoFileError(`${path} has ${status.size} bytes, and should have ${most} at most`);
}
