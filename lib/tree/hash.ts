/** SHA-256 hashes as text. */

/** In hexadecimal, as chunks are named on disk, in logs and in reports. */
export function hexOf(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString("hex");
}
