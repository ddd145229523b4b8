/** Bytes of local files that are published. */
import { type FileHandle, open } from "node:fs/promises";

export async function withFile<T>(file: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(file, "r");
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}

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
