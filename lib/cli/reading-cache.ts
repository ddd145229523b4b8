/** The chunk cache of commands that read files whole and end: cat, lint and verify. */
import { ChunkCache } from "../cache/chunk-cache.ts";
import { isWrong } from "../ic/certificate/certificate.ts";
import { createLog } from "../log.ts";
import { FILE_READER_CHUNKS } from "../readahead.ts";
import { LastingError, type Source } from "../source/source.ts";
import { MAX_CHUNK_BYTES } from "../tree/limits.ts";
import { REQUEST_TIMEOUT_MS } from "./addresses.ts";

/** What is read, what is asked for ahead, and some of what was read: files next to each other share chunks. */
const MEMORY = 3 * FILE_READER_CHUNKS * MAX_CHUNK_BYTES;
/** A flipped bit is gone the second time; bytes that never verify are to be reported, not asked for all minute. */
const ATTEMPTS = 3;

export function readingCache(source: Source): ChunkCache {
  return new ChunkCache(source, {
    memory: MEMORY,
    slow: source.slow,
    // A network that is away for a moment is waited for.
    readTimeout: 2 * REQUEST_TIMEOUT_MS,
    giveUp: (error, attempts) => error instanceof LastingError || (isWrong(error) && attempts >= ATTEMPTS),
    // Whoever reads the chunk is told.
    log: createLog("error"),
  });
}
