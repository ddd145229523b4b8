/**
 * Readahead: how much is fetched before anybody asks for it. All of its constants are here, since they work together.
 *
 * Three layers ask, and one decides. The kernel reads ahead of a sequential reader by one chunk (KERNEL_READAHEAD_KIB), so that
 * it requests a chunk's pieces in parallel. The file system (lib/fs/view) then asks the cache for the READAHEAD_CHUNKS after the
 * current one, and also for those of the next files once a reader has opened FILES_IN_ORDER one after the other. A reader of
 * whole files (lib/cache/file-reader.ts) asks for FILE_READER_CHUNKS. Asking costs nothing: the cache (lib/cache/fetch-scheduler.ts)
 * decides how many are on their way at once. Its window (lib/adaptive-window.ts) begins at FIRST_PREFETCHES and grows by one with each
 * quick chunk, up to MOST_PREFETCHES and SHARE_AHEAD of the memory. It does not grow if chunks begin to arrive at once and then
 * take their time, as from a mirror in the same building. It is halved when one is late or fails. A chunk leaves room for the next one
 * before it has arrived, by the TELLING_ constants. A request without room is remembered for WANTED_MS, and fetched when there is room. A
 * reader's own chunk never waits for the window. Background work (hydration, and the files of a boot, of which BOOT_LOADS ask at once) has
 * its own window, from FIRST_LOADS to MOST_LOADS and SHARE_BACKGROUND of the memory, and gives readers precedence: its turn comes when
 * none has waited for TURN_MS, and a mirror's chunks pause on their way while a reader waits (LONGEST_REST_MS). Readahead goes on beside a
 * reader's own chunk, but lets other work run between its parts (lib/ic/transport/bounded-fetch.ts). An asset canister's files are read
 * whole, in the canister's own pieces (lib/source/assets/contents.ts), with a third window.
 */
import { MAX_CHUNK_BYTES } from "./tree/limits.ts";

// --- the kernel

/**
 * How far the kernel reads ahead of a sequential reader: one chunk. Over libfuse, requests are 128 KiB at most, so it sends
 * eight at a time. With its default of one, a file was read at a seventh of the speed (288 MB/s instead of 2 GB/s; with 20 ms for
 * each request, 12 instead of 88).
 */
export const KERNEL_READAHEAD_KIB = MAX_CHUNK_BYTES / 1024;

// --- who asks

/**
 * How many chunks are requested ahead of a sequential reader, if there is room. A link of 50 MiB/s holds 4 MiB at a round trip of
 * 80 ms; but chunks that share it arrive together, and until the first one is here the reader requests no more.
 */
export const READAHEAD_CHUNKS = 16;
/**
 * A reader that has opened this many files in the tree's order will open the next ones, too. A boot's kernel and initrd may be
 * neighbours, and nobody wants what comes after them.
 */
export const FILES_IN_ORDER = 3;
/** Chunks that are requested ahead when files are read whole; a cache has room for them, the current one, and a few more. */
export const FILE_READER_CHUNKS = 8;
/** Chunks of a boot's next files on their way at once, in addition to what readers request. */
export const BOOT_LOADS = 8;

// --- how much is on its way

/** The window for readahead at first: enough to fill a round trip, and at 1 MiB/s still in time for the first reader. */
export const FIRST_PREFETCHES = 4;
/** The window at most: 16 MiB, more than a link of 100 MiB/s holds in 100 ms, and few enough requests for a gateway's rate limit. */
export const MOST_PREFETCHES = 16;
/** Share of the memory for chunks that are on their way. */
export const SHARE_AHEAD = 1 / 8;
/**
 * The part of a chunk after which its duration can be predicted. Chunks under way share the link and end at about the same time: if
 * the next were requested only then, the link would be idle for a round trip. So it is requested when the rest takes no longer
 * than the first byte did; any earlier, it would compete with what a reader waits for. And only a chunk that is expected to be
 * twice as fast as necessary counts this early.
 */
export const TELLING_SHARE = 1 / 4;
export const TELLING_QUICKNESS = 2;
/** Milliseconds for which a request without room is remembered. A reader that goes on asks again. */
export const WANTED_MS = 1000;
/**
 * Milliseconds that the windows take for a deadline if everything goes through consensus, which takes two seconds, and ten on a busy
 * subnet, without meaning that there is too much at once.
 */
export const SLOW_DEADLINE_MS = 80_000;

// --- the background

/** The window for the background at first: on a slow link readers must not find many loads before them; on a fast one it soon grows. */
export const FIRST_LOADS = 1;
export const MOST_LOADS = 8;
/** Share of the memory: half of what may be on its way. */
export const SHARE_BACKGROUND = 1 / 16;
/** Milliseconds without a waiting reader before the background gets its turn. A reader that goes on asks for its next chunk sooner. */
export const TURN_MS = 20;
/** Milliseconds for which a load pauses at most, each time that a reader waits: whoever sends it must not give up. */
export const LONGEST_REST_MS = 100;

// --- assets' pieces

/** The window for pieces, at first and at most. A piece has up to 3 MiB, mostly 1.9 MB: two suffice on a slow link, eight on a long one. */
export const FIRST_ASSET_PIECES = 2;
export const MOST_ASSET_PIECES = 8;
/** The deadline of that window, in milliseconds. */
export const ASSET_PIECE_DEADLINE_MS = 20_000;
