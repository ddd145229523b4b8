/** Writes the counters of a mount to a file, on SIGUSR1 and at its end (--stats-file). */
import { closeSync, constants, openSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { CacheStatistics } from "../../cache/chunk-cache.ts";
import { messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";
import { unfinishedNameOf } from "../../replace-file.ts";
import type { ManyNames } from "../../source/words.ts";

/** Readable by all and writable only by the owner, whatever the umask. */
const MODE = 0o644;

/**
 * Writes the file atomically, for programs that wait for it. A pipe or a device (/dev/null) is written to, not replaced. Failures
 * are logged.
 */
export function writeStatistics(
  file: string,
  served: ManyNames,
  statistics: CacheStatistics,
  log: Log,
): void {
  const { hits, diskHits, misses, ...others } = statistics;
  const content = { ...served, ...others, cacheHits: hits + diskHits, cacheMisses: misses };
  const text = `${JSON.stringify(content)}\n`;
  try {
    if (statSync(file, { throwIfNoEntry: false })?.isFile() === false) {
      // A pipe without a reader is an error; do not wait for one.
      const descriptor = openSync(file, constants.O_WRONLY | constants.O_NONBLOCK);
      try {
        writeFileSync(descriptor, text);
      } finally {
        closeSync(descriptor);
      }
      return;
    }
    const unfinished = unfinishedNameOf(file);
    try {
      writeFileSync(unfinished, text, { flag: "wx", mode: MODE });
      renameSync(unfinished, file);
    } catch (error) {
      rmSync(unfinished, { force: true });
      throw error;
    }
  } catch (error) {
    log.warn(`cannot write the statistics: ${messageOf(error)}`);
  }
}
