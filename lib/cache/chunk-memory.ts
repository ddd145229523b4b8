/** How many chunks may be in memory: each takes some memory besides its bytes. */

/** A chunk's name, table entries and buffer take almost a kilobyte, which is little beside a chunk of this size. */
const USUAL_LEAST_BYTES = 4096;
/** For tests and tiny memories: so many chunks take a megabyte besides their bytes. */
const LEAST_CHUNKS = 1000;
/** More chunks than any tree has. */
const MOST_CHUNKS = 1_000_000;

/** How many chunks a memory of so many bytes holds at most, however small they are. */
export function mostChunksIn(memory: number): number {
  return Math.min(MOST_CHUNKS, Math.max(LEAST_CHUNKS, Math.floor(memory / USUAL_LEAST_BYTES)));
}

/** Whether chunks of those sizes, in bytes, have room in a memory of so many bytes. */
export function fitInMemory(sizes: readonly number[], memory: number): boolean {
  return sizes.length <= mostChunksIn(memory) && sizes.reduce((sum, size) => sum + size, 0) <= memory;
}
