/** The tree that is mounted: what is in it, and what its bytes are. */

/** Read from end to end, once each: bytes that the kernel has not got. */
export const BIG_FILES = 8;
export const BIG_BYTES = 64 * 1024 * 1024;
/** Read at random places. */
export const FILES = 64;
export const FILE_BYTES = 1024 * 1024;
/** Listed and looked at. */
export const SMALL_FILES = 10_000;

/** Every byte of a file: of file number `i`. */
export function byteAt(i: number): number {
  return (i % 251) + 1;
}
