/** The counters of a mount in a file, on SIGUSR1 and at its end (--stats-file). */
import { closeSync, constants, openSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { CacheStatistics } from "../../cache/chunk-cache.ts";
import { messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";
import { unfinishedNameOf } from "../../replace-file.ts";
import type { Release } from "../../source/source.ts";
import { namesOf } from "../../source/words.ts";

/** For others to read, and for nobody else to write, whatever the umask is. */
const MODE = 0o644;

/**
 * Writes the file whole or not at all, for whoever waits for it. What is no file (/dev/null, a pipe) stays what it is, and is written
 * to. When that cannot be done, it is logged.
 */
export function writeStatistics(file: string, release: Release, statistics: CacheStatistics, log: Log): void {
  const { hits, diskHits, misses, ...others } = statistics;
  const content = { ...namesOf(release), ...others, cacheHits: hits + diskHits, cacheMisses: misses };
  const text = `${JSON.stringify(content)}\n`;
  try {
    if (statSync(file, { throwIfNoEntry: false })?.isFile() === false) {
      // A pipe that nobody reads is an error, and not waited for.
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
