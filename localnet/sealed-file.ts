/**
 * Small files of the state directory: one value each, after a checksum, and always replaced as a whole, so that a
 * reader finds the old value or the new one. A damaged file is an error that names it.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { deserialize, serialize } from "node:v8";
import { crc32 } from "node:zlib";

/** Only the user may read what is in a state directory: there are keys in it, and perhaps private canisters. */
export const FILE_MODE = 0o600;
/** A file's name until it is complete. */
export const UNFINISHED = ".new";
/** "ICLN", and in little-endian order the CRC-32 of everything that follows. */
const MAGIC = 0x4e4c4349;
const HEADER_BYTES = 8;

/** @param value anything that can be cloned */
export function writeSealed(file: string, value: unknown): void {
  const content = serialize(value);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(crc32(content), 4);
  replaceFile(file, Buffer.concat([header, content]));
}

/**
 * @returns undefined when there is no such file
 * @throws Error when it is damaged
 */
export function readSealed(file: string): unknown {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const isWhole = bytes.length > HEADER_BYTES && bytes.readUInt32LE(0) === MAGIC;
  const content = bytes.subarray(HEADER_BYTES);
  if (!isWhole || bytes.readUInt32LE(4) !== crc32(content)) throw damaged(file);
  return deserialize(content);
}

/** Writes a file completely or not at all, as far as the process's end goes: nothing calls fsync. */
export function replaceFile(file: string, content: Uint8Array): void {
  writeFileSync(file + UNFINISHED, content, { mode: FILE_MODE });
  renameSync(file + UNFINISHED, file);
}

/** The error for a damaged file. @param what is wrong with it */
export function damaged(file: string, what = "its checksum is wrong"): Error {
  return new Error(
    `the local network's state is damaged: ${file}: ${what}. Restore the directory from a copy, or start with an empty one.`,
  );
}
