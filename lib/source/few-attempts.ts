/** Retries while somebody waits for a command, or for a mount. */
import { UserError } from "../errors.ts";
import { isHopeless } from "../ic/call-errors.ts";
import { retrying } from "../retry.ts";
import { LastingError } from "./source.ts";

/** Few, since somebody is waiting; enough for a dropped connection or a flipped bit. */
const ATTEMPTS = 3;
const PAUSE_MS = 100;
/** After this long, another attempt at a silent network would only delay the same error. */
const PATIENCE_MS = 5000;

/** What the attempt returns, or the last one's error. Errors that another attempt would not fix are not retried. */
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
