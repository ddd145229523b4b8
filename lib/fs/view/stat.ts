/** Numbers that stat(2) and statfs(2) show, over either transport. */

import { MAX_COMPONENT_BYTES } from "../../tree/limits.ts";
import type { FileSystemStatistics } from "./filesystem.ts";

/** The best size for a reader's own buffer: what the kernel asks for at most in one read over libfuse 2. */
export const BLOCK_SIZE = 131072;
const UINT32_MAX = 0xffffffff;
/** A directory's size, as ext4 has it for small ones. With none, dnsmasq answers a request for a directory with an empty file. */
export const DIRECTORY_BYTES = 4096;

/** st_blocks: in 512 bytes, whatever the block size. */
export function blocksOf(size: number): number {
  return Math.ceil(size / 512);
}

/** A full file system of the size of its content. */
export function statfsOf({ bytes, entries }: FileSystemStatistics) {
  // fuse-native cuts the counts to 32 bits: 16 TiB at the usual block size.
  let blockSize = 4096;
  while (Math.ceil(bytes / blockSize) > UINT32_MAX) blockSize *= 2;
  return {
    bsize: blockSize,
    frsize: blockSize,
    blocks: Math.ceil(bytes / blockSize),
    files: Math.min(entries, UINT32_MAX),
    namemax: MAX_COMPONENT_BYTES,
  };
}
