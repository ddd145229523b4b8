/** SHA-256 hashes: made, and as text. */
import { createHash, webcrypto } from "node:crypto";

/** Above this a thread of Node's pool is worth its while: 64 KiB take some 40 microseconds. */
const LARGE_BYTES = 64 * 1024;

/** SHA-256. Of a chunk it takes most of a millisecond: out of the way, so that readers who need nothing hashed go on. */
export async function sha256(bytes: Uint8Array): Promise<Buffer> {
  if (bytes.length < LARGE_BYTES) return createHash("sha256").update(bytes).digest();
  return Buffer.from(await webcrypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
}

/** In hexadecimal, as chunks are named on disk, in logs and in reports. */
export function hexOf(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString("hex");
}
