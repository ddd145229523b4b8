/**
 * Waiting for a network that is not there yet, as mount.nfs does: at boot a host may mount before its links, its routes or its
 * clock are ready, and nobody mounts a second time what has failed then.
 */
import { FormatError, messageOf, UserError } from "../errors.ts";
import { HttpStatusError, isHopeless, isTransient, RejectError } from "../ic/call-errors.ts";
import { UntimelyError, VerificationError } from "../ic/certificate/certificate.ts";
import { retrying } from "../retry.ts";
import type { CanisterMountOptions } from "./options.ts";

const FIRST_PAUSE_MS = 500;
/** A boot waits no longer than this for a network that has arrived. */
const LONGEST_PAUSE_MS = 4000;

/**
 * What `attempt` resolves to; while it fails because the network does not answer, it is made again for as long as `retry` says.
 *
 * @param stopped ends the wait
 * @throws what the last attempt threw; UserError when the wait was ended
 */
export async function untilNetworkAnswers<T>(
  attempt: () => Promise<T>,
  { retry, waiting, log }: Pick<CanisterMountOptions, "retry" | "waiting" | "log">,
  stopped: AbortSignal,
): Promise<T> {
  const until = performance.now() + retry;
  try {
    return await retrying(attempt, {
      firstPause: FIRST_PAUSE_MS,
      longestPause: LONGEST_PAUSE_MS,
      again: (error, attempts, pause) => {
        if (!isOutage(error) || performance.now() + pause > until) return false;
        if (attempts === 1) waiting?.(messageOf(error));
        log.warn(`the network has no answer that counts yet, trying again: ${messageOf(error)}`);
        return true;
      },
      signal: stopped,
    });
  } catch (error) {
    if (stopped.aborted) throw new UserError("ended by a signal while it waited for the network");
    throw error;
  }
}

/**
 * Whether it may be over soon: no answer, one by somebody in between who is not ready, or one that shows that this host's clock is
 * wrong, which is set once there is a network. Not what a canister, or a certificate, says no to.
 */
export function isOutage(error: unknown): boolean {
  if (error instanceof UntimelyError) return true;
  if (error instanceof RejectError) return isTransient(error);
  if (error instanceof UserError || error instanceof VerificationError || error instanceof FormatError) {
    return false;
  }
  if (isHopeless(error)) return false;
  return !(error instanceof HttpStatusError) || !isLasting(error.status);
}

/** Whether asking again would get the same status: each 4xx does but 408 (request timeout) and 429 (too many requests). */
function isLasting(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}
