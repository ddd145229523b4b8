/** Trying again while somebody waits for the answer to a command, or for a mount. */
import { UserError } from "../errors.ts";
import { isHopeless } from "../ic/call-errors.ts";
import { retrying } from "../retry.ts";
import { LastingError } from "./source.ts";

/** Few, since somebody waits for the mount or the answer; enough for a dropped connection or a flipped bit. */
const ATTEMPTS = 3;
const PAUSE_MS = 100;
/** Beyond this another attempt at a network that says nothing only makes somebody wait longer for the same error. */
const PATIENCE_MS = 5000;

/** What the attempt returns, or the last one's error. Some errors another attempt would not mend. */
export function fewAttempts<T>(attempt: () => Promise<T>): Promise<T> {
  const until = performance.now() + PATIENCE_MS;
  return retrying(attempt, {
    firstPause: PAUSE_MS,
    longestPause: 2 * PAUSE_MS,
    again: (error, attempts) =>
      attempts < ATTEMPTS &&
      !(error instanceof UserError) &&
      !(error instanceof LastingError) &&
      !isHopeless(error) &&
      performance.now() < until,
  });
}
