/**
 * Readahead: how much is fetched before anybody asks for it. All constants of it are here, since they work together.
 *
 * Three layers ask, and one decides. The kernel reads ahead of a sequential reader by one chunk (KERNEL_READAHEAD_KIB), so that
 * a chunk's pieces are asked for in parallel. The file system (lib/fs/view) then asks the cache for the READAHEAD_CHUNKS behind the
 * one that is read, and for those of the next files as well once a reader has opened FILES_IN_ORDER one after the other. Who reads
 * whole files (lib/cache/file-reader.ts) asks for FILE_READER_CHUNKS. To ask costs nothing: the cache (lib/cache/fetch-scheduler.ts)
 * decides how many are on their way at once. Its window (lib/adaptive-window.ts) begins at FIRST_PREFETCHES, grows by one with each
 * chunk that comes quickly up to MOST_PREFETCHES, but to no more than SHARE_AHEAD of the memory, and not where chunks begin to come at
 * once and then take their time, as from a mirror in the same building. It is halved when one is late or fails. A chunk leaves room for the next one before it has arrived: by the TELLING_ constants. What finds no room is kept in
 * mind for WANTED_MS, and fetched when there is some. A reader's own chunk never waits for the window. Background work (hydration,
 * and the files of a boot, of which BOOT_LOADS ask at once) has a window of its own, from FIRST_LOADS to MOST_LOADS and SHARE_BACKGROUND
 * of the memory, and lets readers go first: its turn comes when none has waited for TURN_MS. An asset canister's files are read whole, in pieces
 * of the canister's own (lib/source/assets/contents.ts): for those there is a third window.
 */
import { MAX_CHUNK_BYTES } from "./tree/limits.ts";

// --- the kernel

/**
 * How far the kernel reads ahead of a sequential reader: one chunk. Over libfuse requests are 128 KiB at most, so it sends
 * eight at a time; with its default of one a file came through a seventh as fast (288 MB/s against 2 GB/s; with 20 ms for
 * each request, 12 against 88).
 */
export const KERNEL_READAHEAD_KIB = MAX_CHUNK_BYTES / 1024;

// --- who asks

/**
 * How many chunks are asked for ahead of a sequential reader, if there is room. A link of 50 MiB/s holds 4 MiB at a round trip of
 * 80 ms; but chunks that share it arrive together, and until the first is here the reader asks for no more.
 */
export const READAHEAD_CHUNKS = 16;
/**
 * Whoever has opened so many files in the tree's order will open the next ones, too. A boot's kernel and initrd may be
 * neighbours, and nobody wants what comes behind them.
 */
export const FILES_IN_ORDER = 3;
/** Chunks that are asked for ahead where files are read whole; a cache has room for them, the one that is read, and a few more. */
export const FILE_READER_CHUNKS = 8;
/** Chunks of a boot's next files on their way at once, beside what readers ask for. */
export const BOOT_LOADS = 8;

// --- how much is on its way

/** Enough to fill a first round trip, and at 1 MiB/s still in time for the first reader. */
export const FIRST_PREFETCHES = 4;
/** 16 MiB on their way: more than a link of 100 MiB/s holds in 100 ms, and few enough for a gateway's rate limit. */
export const MOST_PREFETCHES = 16;
/** Of the memory, for what is on its way. */
export const SHARE_AHEAD = 1 / 8;
/**
 * So much of a chunk tells how long it will take. Those under way share the link and end at about the same time: if the
 * next were asked for only then, the link would be idle for a round trip. So it is asked for when what is left takes no longer
 * than the first byte did: earlier, it would take from the link what a reader waits for. And only what is expected to be
 * twice as quick as it must be counts so early.
 */
export const TELLING_SHARE = 1 / 4;
export const TELLING_QUICKNESS = 2;
/** Milliseconds for which what found no room is kept in mind. A reader who goes on asks again. */
export const WANTED_MS = 1000;
/**
 * Milliseconds that the windows take for a deadline where everything goes by consensus: that takes two seconds, and ten where the
 * subnet is busy, and nothing is to be made of that.
 */
export const SLOW_DEADLINE_MS = 80_000;

// --- the background

/** On a slow link a reader must not find many loads before it, and on a fast one they soon grow. */
export const FIRST_LOADS = 1;
export const MOST_LOADS = 8;
/** Of the memory: half of what may be on its way. */
export const SHARE_BACKGROUND = 1 / 16;
/** Milliseconds without a reader who waits, after which the background's turn comes: one who reads on asks for his next chunk earlier. */
export const TURN_MS = 20;

// --- assets' pieces

/** Pieces are up to 3 MiB, most of them 1.9 MB: two are enough to begin with on a slow link, and eight for a long one. */
export const FIRST_ASSET_PIECES = 2;
export const MOST_ASSET_PIECES = 8;
/** Milliseconds in which a piece should have come; the window of pieces goes by that. */
export const ASSET_PIECE_DEADLINE_MS = 20_000;
