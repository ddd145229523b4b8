/** The directory that holds a host's disk cache: that it is private. */
import { makeDirectory, mustBeOwn } from "../directories.ts";
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
  checkPrivate(directory);
}

/** Whether a cache directory, if it is there, is this user's alone. @throws UserError when it is not */
export function checkPrivate(directory: string): void {
  mustBeOwn(directory, "choose a cache directory with --cache-dir");
}
