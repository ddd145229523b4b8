/** Bytes of local files that are published. */
import type { FileHandle } from "node:fs/promises";
import { ChangedError } from "./seen.ts";

/** Fills `buffer` with what is from `offset` on. Returns what it has got: less only at the end of the file. */
export async function readAt(handle: FileHandle, offset: number, buffer: Buffer): Promise<Buffer> {
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/**
 * A file's bytes from its beginning to its end, a full `buffer` at a time but for the last one; each is to be used before the next is
 * asked for.
 *
 * @param size the bytes that it had when it was seen
 * @throws ChangedError when it has more, however fast it grows, or less
 */
export async function* bytesOfFile(handle: FileHandle, size: number, buffer: Buffer): AsyncGenerator<Buffer> {
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
