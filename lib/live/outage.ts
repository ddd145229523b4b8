/**
 * Waits for a network that is not up yet, as mount.nfs does: at boot a host may mount before its links, its routes or its clock
 * are ready, and nobody retries a failed mount.
 */
import { FormatError, messageOf, UserError } from "../errors.ts";
import { HttpStatusError, isHopeless, isTransient, RejectError } from "../ic/call-errors.ts";
import { UntimelyError, VerificationError } from "../ic/certificate/certificate.ts";
import { NetworkUnreachableError } from "../ic/network.ts";
import { retrying } from "../retry.ts";
import type { OpeningOptions } from "./opening-options.ts";

const FIRST_PAUSE_MS = 500;
/** Once the network is up, a boot waits at most this much longer. */
const LONGEST_PAUSE_MS = 4000;

/**
 * Resolves to the result of `attempt`, which is repeated for as long as `retry` says while the network does not answer.
 *
 * @param stopped ends the wait
 * @throws the error of the last attempt; UserError when the wait was ended
 */
export async function untilNetworkAnswers<T>(
  attempt: () => Promise<T>,
  { retry, waiting, log }: Pick<OpeningOptions, "retry" | "waiting" | "log">,
  stopped: AbortSignal,
): Promise<T> {
  const until = performance.now() + retry;
  try {
    return await retrying(attempt, {
      firstPause: FIRST_PAUSE_MS,
      longestPause: LONGEST_PAUSE_MS,
      again: (error, attempts, pause) => {
        if (!isOutage(error) || performance.now() + pause > until) return false;
        const reason = messageOf((error instanceof NetworkUnreachableError && error.cause) || error);
        if (attempts === 1) waiting?.(reason);
        log.warn(`the network has no answer that counts yet, trying again: ${reason}`);
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
 * Whether the error may be temporary: no answer, an answer of something in between that is not ready, or one that shows that this
 * host's clock is wrong, which is set once there is a network. A refusal by a canister or a bad certificate is not temporary.
 */
export function isOutage(error: unknown): boolean {
  if (error instanceof UntimelyError) return true;
  if (error instanceof NetworkUnreachableError) return isOutage(error.cause);
  if (error instanceof RejectError) return isTransient(error);
  if (error instanceof UserError || error instanceof VerificationError || error instanceof FormatError) {
    return false;
  }
  if (isHopeless(error)) return false;
  return !(error instanceof HttpStatusError) || !isLasting(error.status);
}

/** Whether a retry would get the same status: every 4xx except 408 (request timeout) and 429 (too many requests). */
function isLasting(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}
