/** How publishing copes with a bad network: what is retried, and for how long. */
import { FormatError, UserError } from "../errors.ts";
import { HttpStatusError, isHopeless, isTransient, RejectError } from "../ic/call-errors.ts";
import { VerificationError } from "../ic/certificate/certificate.ts";
import { retrying } from "../retry.ts";
import type { ReleaseReader } from "../source/icfs/release-reader.ts";

/** With these pauses, retries last about half a minute while the network is away or too busy. */
const ATTEMPTS = 7;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
/** A bit may have flipped in an answer that does not verify. If it keeps failing, it is wrong. */
const ATTEMPTS_TO_VERIFY = 3;
/** No attempt starts later than this after the first: a gateway can use up each attempt's time with silence or a trickle. */
const PATIENCE_MS = 5 * 60_000;
/** The same for a query, which takes half a minute at most. */
const PATIENCE_TO_ASK_MS = 60_000;
/** How often, and how long apart, to look for what was just changed: the node that answers a query may be a few blocks behind. */
export const LOOKS = 6;
export const LOOK_PAUSE_MS = 500;

export interface Patience {
  /** Whether to go on beyond the usual attempts. */
  readonly goOn?: () => boolean;
  /** Aborts the attempts. */
  readonly signal?: AbortSignal;
}

/** Calls the canister until it answers. */
export function patiently<T>(call: () => Promise<T>, { goOn, signal }: Patience = {}): Promise<T> {
  const until = performance.now() + PATIENCE_MS;
  return retrying(call, {
    ...(signal === undefined ? {} : { signal }),
    firstPause: FIRST_PAUSE_MS,
    longestPause: LONGEST_PAUSE_MS,
    leastPause: (error) => (error instanceof HttpStatusError ? error.retryAfter : 0),
    again: (error, attempts, pause) =>
      isTransient(error) && ((attempts < ATTEMPTS && performance.now() + pause < until) || goOn?.() === true),
  });
}

/** Repeats a query until an answer verifies; only for calls that change nothing. @param signal aborts the attempts */
export function askedAgain<T>(ask: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const until = performance.now() + PATIENCE_TO_ASK_MS;
  return retrying(ask, {
    ...(signal === undefined ? {} : { signal }),
    firstPause: FIRST_PAUSE_MS,
    longestPause: LONGEST_PAUSE_MS,
    again: (error, attempts, pause) =>
      !(error instanceof UserError) &&
      !isHopeless(error) &&
      attempts < (isAnswer(error) ? ATTEMPTS_TO_VERIFY : ATTEMPTS) &&
      performance.now() + pause < until,
  });
}

/** A source that repeats its queries until an answer verifies. @param signal aborts the attempts */
export function patientReader(source: ReleaseReader, signal?: AbortSignal): ReleaseReader {
  const patient = <T>(ask: () => Promise<T>) => askedAgain(ask, signal);
  return {
    head: (accept) => patient(() => source.head(accept)),
    headers: (from, count, accept) => patient(() => source.headers(from, count, accept)),
    restore: (proof) => source.restore(proof),
    manifest: (header, pieces) => patient(() => source.manifest(header, pieces)),
    chunk: (reference) => patient(() => source.chunk(reference)),
  };
}

function isAnswer(error: unknown): boolean {
  return error instanceof VerificationError || error instanceof FormatError || error instanceof RejectError;
}
