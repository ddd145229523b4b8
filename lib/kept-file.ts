/**
 * Reading what icfs keeps on this host's disks. By then anything may have its name: a pipe that nobody writes to, whose opening does
 * not end; a link to a device without an end; a file with holes, of any size. Whoever shares the directory can make these, and
 * so can a damaged disk.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** Nothing waits: neither for a pipe's other end nor for a device. */
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
