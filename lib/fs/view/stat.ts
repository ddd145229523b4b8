/** Numbers that stat(2) and statfs(2) show, over either transport. */

import { MAX_COMPONENT_BYTES } from "../../tree/limits.ts";
/** The best size for a reader's own buffer: what the kernel asks for at most in one read over libfuse 2. */
export const BLOCK_SIZE = 131072;
/** A directory's size, as ext4 has it for small ones. With none, dnsmasq answers a request for a directory with an empty file. */
export const DIRECTORY_BYTES = 4096;

/** st_blocks: in 512 bytes, whatever the block size. */
export function blocksOf(size: number): number {
  return Math.ceil(size / 512);
}

/**
 * What statfs(2) shows: no blocks and no inodes, free or not, as of /proc. A file system of the size of its content would be full for
 * ever, which squashfs and iso9660 say of themselves; but what watches disks knows those by their types.
 */
export const STATFS = { bsize: 4096, frsize: 4096, blocks: 0, files: 0, namemax: MAX_COMPONENT_BYTES };
