/**
 * Reads files that icfs keeps on this host's disks. Something else may have taken the name: a pipe, whose open() never returns; a link
 * to a device without an end; a sparse file of any size. Anyone who shares the directory can put it there, and so can a damaged
 * disk.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** open() must not wait for a pipe's other end, or for a device. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * A file's bytes, and its status.
 *
 * @param most bytes that it may have
 * @throws Error with the system's code when it cannot be read; Error when it is no file, or larger
 */
export async function readKept(path: string, most: number): Promise<{ bytes: Buffer; status: Stats }> {
  await using file: FileHandle = await open(path, FLAGS);
  const status = await file.stat();
  mustBeFile(path, status, most);
  return { bytes: await file.readFile(), status };
}

/** readKept(), at once: for files of some bytes. */
export function readKeptSync(path: string, most: number): Buffer {
  const descriptor = openSync(path, FLAGS);
  try {
    mustBeFile(path, fstatSync(descriptor), most);
    return readFileSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function mustBeFile(path: string, status: Stats, most: number): void {
  if (!status.isFile()) throw new Error(`${path} is no file`);
  if (status.size > most)
    throw new Error(`${path} has ${status.size} bytes, and should have ${most} at most`);
}
