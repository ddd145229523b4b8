/**
 * How a call of a canister fails. Code distinguishes these errors by their classes and fields; their texts are for people. agent-error.ts
 * turns what the agent throws into one of them.
 */
import { FormatError, UserError } from "../errors.ts";

/** A reject code (IC interface specification, "Reject codes"): the same call may succeed later. */
export const SYS_TRANSIENT = 2;

/** Error codes of the IC's implementation (dfinity/ic, rs/types/error_types) that icfs distinguishes. */
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

/** The canister, or the network on its behalf, answered with a rejection. */
export class RejectError extends Error {
  override readonly name = "RejectError";
  /** One of the specification's reject codes. */
  readonly code: number;
  /** The implementation's own code, which says more: one of ERROR_CODES, or another; undefined when there is none. */
  readonly errorCode: string | undefined;
  /** The canister's own words when it trapped, else the network's: in one line. */
  readonly reason: string;
  /** The gateway says that a call was not accepted; nobody has signed that. */
  readonly isGateways: boolean;

  constructor(code: number, message: string, errorCode?: string, reason = message, isGateways = false) {
    super(message);
    this.code = code;
    this.errorCode = errorCode;
    this.reason = reason;
    this.isGateways = isGateways;
  }
}

/** The answer has an HTTP status that no valid answer has. */
export class HttpStatusError extends Error {
  override readonly name: string = "HttpStatusError";
  readonly status: number;
  /** Milliseconds to wait before the next request (HTTP's Retry-After); 0 when the answer does not say. */
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

/** The signature of an answer does not verify by the known root key: another network answers, or a bit was flipped. */
export class SignatureError extends Error {
  override readonly name = "SignatureError";
}

/** There was no answer, or an unreadable one. */
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
 * There was no answer, and there will be none until somebody changes something: a certificate is not trusted, a name does not exist, a
 * proxy requires a login.
 */
export class NoWayError extends NoAnswerError {
  override readonly name = "NoWayError";
}

/** Somebody has answered with a page of HTML, which is for people. */
export class PageError extends FormatError {}

/** Whether further attempts will get no answer either, so that nobody should wait for them. */
export function isHopeless(error: unknown): boolean {
  return error instanceof NoWayError || (error instanceof HttpStatusError && error.status === 407);
}

/**
 * Whether the same request may succeed later: there was no answer, or one that does not verify (a bit was flipped on the way), or somebody
 * was too busy, or the request expired on the way. Then nobody knows whether the canister has executed it. "Out of cycles" is transient as
 * well, as in the IC: it may be unsigned, so a gateway's word alone must not end anything. If it is true, it will be repeated.
 */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof UserError || isHopeless(error)) return false;
  if (error instanceof RejectError)
    return error.code === SYS_TRANSIENT || error.errorCode === ERROR_CODES.outOfCycles;
  return !(error instanceof HttpStatusError) || error.status === 429 || error.status >= 500;
}
