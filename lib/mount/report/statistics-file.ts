/** The counters of a mount in a file, on SIGUSR1 and at its end (--stats-file). */
import { renameSync, writeFileSync } from "node:fs";
import type { CacheStatistics } from "../../cache/chunk-cache.ts";
import { messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { Release } from "../../source/source.ts";
import { namesOf } from "../../source/words.ts";

/** Writes the file whole or not at all, for whoever waits for it. When it cannot be written, that is logged. */
export function writeStatistics(file: string, release: Release, statistics: CacheStatistics, log: Log): void {
  const { hits, diskHits, misses, ...others } = statistics;
  const content = { ...namesOf(release), ...others, cacheHits: hits + diskHits, cacheMisses: misses };
  try {
    writeFileSync(`${file}.new`, `${JSON.stringify(content)}\n`);
    renameSync(`${file}.new`, file);
  } catch (error) {
    log.warn(`cannot write the statistics: ${messageOf(error)}`);
  }
}
