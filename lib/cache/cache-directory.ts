/** The directory that holds a host's disk cache: that it is private. */
import { type Stats, statSync } from "node:fs";
import { makeDirectory } from "../directories.ts";
import { messageOf, UserError } from "../errors.ts";

/**
 * Makes the directory, if need be, and makes sure that it is this user's alone: what a private canister's files say is
 * not for others to read, nor is it theirs to take away.
 *
 * @throws UserError
 */
export function prepareCacheDirectory(directory: string): void {
  try {
    makeDirectory(directory, 0o700);
  } catch (error) {
    throw new UserError(
      `cannot make the cache directory (${messageOf(error)}): choose another with --cache-dir, or do without by --max-cache-size 0`,
    );
  }
  checkPrivate(directory, statSync(directory));
}

/** Whether a directory with that owner and mode is this user's alone. @throws UserError when it is not */
export function checkPrivate(directory: string, { uid, mode }: Pick<Stats, "uid" | "mode">): void {
  if (uid !== process.geteuid!()) {
    throw new UserError(`${directory} belongs to another user: choose a cache directory with --cache-dir`);
  }
  if ((mode & 0o022) !== 0) {
    throw new UserError(`others may write in ${directory}: chmod 700 it, or choose another with --cache-dir`);
  }
}
