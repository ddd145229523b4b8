/** How publishing bears with a bad network: what is tried again, and for how long. */
import { FormatError, UserError } from "../errors.ts";
import { HttpStatusError, isHopeless, isTransient, RejectError } from "../ic/call-errors.ts";
import { VerificationError } from "../ic/certificate/certificate.ts";
import { retrying } from "../retry.ts";
import type { ReleaseReader } from "../source/icfs/release-reader.ts";

/** With these pauses: about half a minute of a network that is away or too busy. */
const ATTEMPTS = 7;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
/** An answer that does not verify may have a flipped bit; if it comes again and again, it is wrong. */
const ATTEMPTS_TO_VERIFY = 3;
/** No attempt begins later than this after the first: a gateway may take as long as it is given for each, in silence or by a trickle. */
const PATIENCE_MS = 5 * 60_000;
/** The same for a question, which takes half a minute at most. */
const PATIENCE_TO_ASK_MS = 60_000;
/** How often, and how long apart, what was just changed is looked for: a query may be answered by a node that is a few blocks behind. */
export const LOOKS = 6;
export const LOOK_PAUSE_MS = 500;

export interface Patience {
  /** Whether more attempts than usual are in order. */
  readonly goOn?: () => boolean;
  /** Ends the attempts. */
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

/** Asks again when it gets no answer, or none that verifies: for what changes nothing. @param signal ends the attempts */
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

/** A source that asks again when it gets no answer, or none that verifies. @param signal ends the attempts */
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
