/** The one table from the file system's errors to the numbers the kernel wants. */

import { constants } from "node:os";
import type { Log } from "../log.ts";
import { type Errno, FsError } from "./view/filesystem.ts";

const NUMBERS: Record<Errno, number> = {
  ENOENT: constants.errno.ENOENT,
  EIO: constants.errno.EIO,
  EROFS: constants.errno.EROFS,
  ENOTDIR: constants.errno.ENOTDIR,
  EISDIR: constants.errno.EISDIR,
  EINVAL: constants.errno.EINVAL,
  EBADF: constants.errno.EBADF,
  ENODATA: constants.errno.ENODATA,
  ENOTSUP: constants.errno.ENOTSUP,
  ERANGE: constants.errno.ERANGE,
};

// A bug that throws a new text each time must not grow the set of logged ones for ever.
const MOST_REMEMBERED = 100;

/** The kernel's (positive) number of `errno`. */
export function errnoNumber(errno: Errno): number {
  return NUMBERS[errno];
}

/**
 * Makes the function that turns whatever an operation threw into the error its caller gets. An FsError is answered as
 * it says; anything else is a bug: it is answered with EIO, and logged only once, since a reader that retries must not
 * fill the log.
 */
export function createErrorTranslator(log: Log): (operation: string, error: unknown) => Errno {
  const logged = new Set<string>();
  return (operation, error) => {
    // Checked against the table as well: an errno outside it must never reach a reader.
    if (error instanceof FsError && Object.hasOwn(NUMBERS, error.errno)) return error.errno;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    // By where it was thrown: the message may contain an offset, and so differ each time.
    const place = `${operation}: ${/\n\s+at .*/.exec(text)?.[0] ?? text}`;
    if (!logged.has(place) && logged.size < MOST_REMEMBERED) {
      logged.add(place);
      log.error(`unexpected error, answered with EIO: ${operation}: ${text}`);
    }
    return "EIO";
  };
}
