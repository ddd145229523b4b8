/** Reads bytes from an open file or from memory. */

/** The part of a file handle that reading needs. */
export interface ByteReader {
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
}

/** Reads bytes from memory as from a file. */
export function inMemory(bytes: Buffer): ByteReader {
  return {
    read: async (buffer, offset, length, position) => ({
      bytesRead: bytes.copy(buffer, offset, position, position + length),
    }),
  };
}
