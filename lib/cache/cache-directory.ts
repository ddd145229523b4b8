/** Makes the directory of a host's disk cache, and keeps it private. */
import { makeDirectory, mustBeOwn } from "../directories.ts";
import { messageOf, UserError } from "../errors.ts";

/**
 * Makes the directory if necessary, and makes sure that only this user can access it: others must neither read a private
 * canister's files nor remove them.
 *
 * @throws UserError
 */
export function prepareCacheDirectory(directory: string): void {
  try {
    makeDirectory(directory, 0o700);
  } catch (error) {
    throw new UserError(
      `cannot make the cache directory (${messageOf(error)}): choose another with --cache-dir, or do without one: --max-cache-size 0`,
    );
  }
  checkPrivate(directory);
}

/** Whether a cache directory, if it is there, is this user's alone. @throws UserError when it is not */
export function checkPrivate(directory: string): void {
  mustBeOwn(directory, "choose a cache directory with --cache-dir");
}
