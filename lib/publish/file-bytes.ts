/** Reads the local files that are published. */
import type { ByteReader } from "./byte-reader.ts";
import { ChangedError } from "./seen.ts";

/**
 * Fills `buffer` with the file's bytes from `offset` on. Resolves to the part of it that was filled: all of it, unless the file ends
 * before.
 */
export async function readAt(handle: ByteReader, offset: number, buffer: Buffer): Promise<Buffer> {
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/**
 * A file's bytes from beginning to end, in full buffers except for the last one. Use each before asking for the next.
 *
 * @param size the file's size when it was scanned
 * @throws ChangedError when it is longer, however fast it grows, or shorter
 */
export async function* bytesOfFile(handle: ByteReader, size: number, buffer: Buffer): AsyncGenerator<Buffer> {
  for (let read = 0; ; ) {
    const bytes = await readAt(handle, read, buffer);
    read += bytes.length;
    const isEnd = bytes.length < buffer.length;
    if (isEnd ? read !== size : read > size)
      throw new ChangedError(`it is not as long as it was (${size} bytes)`);
    if (bytes.length > 0) yield bytes;
    if (isEnd) return;
  }
}
