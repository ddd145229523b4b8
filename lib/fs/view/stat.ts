/** Numbers that stat(2) and statfs(2) show, over either transport. */

import { MAX_COMPONENT_BYTES } from "../../tree/limits.ts";

/** The best size for a reader's own buffer: the kernel's largest read over libfuse 2. */
export const BLOCK_SIZE = 131072;
/** A directory's size, as in ext4 for small ones. If it were 0, dnsmasq would answer a request for a directory with an empty file. */
export const DIRECTORY_BYTES = 4096;

/** st_blocks: in 512 bytes, whatever the block size. */
export function blocksOf(size: number): number {
  return Math.ceil(size / 512);
}

/**
 * What statfs(2) shows: no blocks and no inodes, neither free nor used, as in /proc. With the size of its content, the file system would
 * look full for ever, as squashfs and iso9660 do; but monitoring tools know those by their types.
 */
export const STATFS = { bsize: 4096, frsize: 4096, blocks: 0, files: 0, namemax: MAX_COMPONENT_BYTES };
