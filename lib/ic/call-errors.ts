/**
 * How a call of a canister fails. Whoever asks tells these apart by their classes and fields; their texts are for people. What
 * the agent throws becomes one of them in agent-error.ts.
 */
import { FormatError, UserError } from "../errors.ts";

/** A reject code (IC interface specification, "Reject codes"): the same call may pass later. */
export const SYS_TRANSIENT = 2;

/** Error codes of the IC's implementation (dfinity/ic, rs/types/error_types), as far as they are told apart here. */
export const ERROR_CODES = {
  outOfCycles: "IC0207",
  canisterNotFound: "IC0301",
  contractViolation: "IC0504",
  stopped: "IC0508",
  stopping: "IC0509",
  invalidController: "IC0512",
  instructionLimit: "IC0522",
  methodNotFound: "IC0536",
} as const;

/** The canister answered, or the network for it, with a rejection. */
export class RejectError extends Error {
  override readonly name = "RejectError";
  /** One of the specification's reject codes. */
  readonly code: number;
  /** The implementation's own code, which says more: one of ERROR_CODES, or another; undefined when there is none. */
  readonly errorCode: string | undefined;
  /** The canister's own words when it trapped, else the network's: in one line. */
  readonly reason: string;
  /** The gateway says that a call was not taken: nobody has signed it. */
  readonly isGateways: boolean;

  constructor(code: number, message: string, errorCode?: string, reason = message, isGateways = false) {
    super(message);
    this.code = code;
    this.errorCode = errorCode;
    this.reason = reason;
    this.isGateways = isGateways;
  }
}

/** Whoever answered did so with an HTTP status that is no answer's. */
export class HttpStatusError extends Error {
  override readonly name: string = "HttpStatusError";
  readonly status: number;
  /** How many milliseconds whoever answered wants to be left alone (HTTP's Retry-After); 0 when it does not say. */
  readonly retryAfter: number;

  constructor(status: number, message: string, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** A gateway does not know the canister. */
export class UnknownCanisterError extends HttpStatusError {
  override readonly name = "UnknownCanisterError";
}

/** What answers at a URL says that it has no such canister. */
export class NoSuchCanisterError extends UserError {
  /** Of the network. */
  readonly url: string;

  constructor(canister: string, url: string, isLoopback: boolean) {
    const hint = isLoopback
      ? "; a local network forgets its canisters when it ends, unless it has --state"
      : "";
    super(`there is no canister ${canister} at ${url}: look at the id, and at --network${hint}`);
    this.url = url;
  }
}

/** A request came too late or too early by the network's clock: this host's is wrong, or it took long on the way. */
export class ClockError extends Error {
  override readonly name = "ClockError";
}

/** An answer is signed by somebody else than the network whose root key is known: another is there, or a bit was flipped. */
export class SignatureError extends Error {
  override readonly name = "SignatureError";
}

/** No answer came, or none that anybody could read. */
export class NoAnswerError extends Error {
  override readonly name: string = "NoAnswerError";
  /** What to do about it, where that is known. */
  readonly advice: string | undefined;

  constructor(
    message: string,
    options: { readonly cause?: unknown; readonly advice?: string | undefined } = {},
  ) {
    super(message, options);
    this.advice = options.advice;
  }
}

/**
 * No answer came, and none will until somebody changes something: a certificate is not trusted, a name does not exist, a proxy wants a
 * login.
 */
export class NoWayError extends NoAnswerError {
  override readonly name = "NoWayError";
}

/** Somebody has answered with a page of HTML, which is for people. */
export class PageError extends FormatError {}

/** Whether another attempt has no answer either, however long it waits: nobody is to be kept waiting for it. */
export function isHopeless(error: unknown): boolean {
  return error instanceof NoWayError || (error instanceof HttpStatusError && error.status === 407);
}

/**
 * Whether the same request may succeed later: no answer, none that can be believed (a bit was flipped on the way), too
 * busy, or expired on the way. Then nobody knows whether the canister has executed it. That a canister is out of cycles is transient as well,
 * as the IC calls it: nobody need have signed it, so a gateway's word for it must not end what goes on. When it is true it is said again.
 */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof UserError || isHopeless(error)) return false;
  if (error instanceof RejectError)
    return error.code === SYS_TRANSIENT || error.errorCode === ERROR_CODES.outOfCycles;
  return !(error instanceof HttpStatusError) || error.status === 429 || error.status >= 500;
}
