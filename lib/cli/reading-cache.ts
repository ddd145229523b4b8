/** The chunk cache of commands that read whole files and end: cat, lint and verify. */
import { ChunkCache } from "../cache/chunk-cache.ts";
import { isWrong } from "../ic/certificate/certificate.ts";
import { createLog } from "../log.ts";
import { FILE_READER_CHUNKS } from "../readahead.ts";
import { LastingError, type Source } from "../source/source.ts";
import { MAX_CHUNK_BYTES } from "../tree/limits.ts";
import { REQUEST_TIMEOUT_MS } from "./connect.ts";

/** The current chunk, those fetched ahead, and some earlier ones, since neighbouring files share chunks. */
const MEMORY = 3 * FILE_READER_CHUNKS * MAX_CHUNK_BYTES;
/**
 * A flipped bit is gone at the second attempt. Bytes that never verify must be reported soon, rather than fetched for a minute.
 */
const ATTEMPTS = 3;

export function readingCache(source: Source): ChunkCache {
  return new ChunkCache(source, {
    memory: MEMORY,
    slow: source.slow,
    // Waits out a short network outage.
    readTimeout: 2 * REQUEST_TIMEOUT_MS,
    giveUp: (error, attempts) => error instanceof LastingError || (isWrong(error) && attempts >= ATTEMPTS),
    // The caller that reads the chunk gets the error.
    log: createLog("error"),
  });
}
