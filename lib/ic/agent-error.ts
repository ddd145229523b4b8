/**
 * Turns what @icp-sdk/core's agent throws into the errors of call-errors.ts. Only this module knows the agent's classes, and reads what
 * gateways and replicas say in free text.
 */
import {
  AgentError,
  CertificateNotAuthorizedErrorCode,
  CertificateVerificationErrorCode,
  CertifiedRejectErrorCode,
  type HttpAgent,
  HttpErrorCode,
  HttpFetchErrorCode,
  IngressExpiryInvalidErrorCode,
  MalformedPublicKeyErrorCode,
  MalformedSignatureErrorCode,
  MissingSignatureErrorCode,
  QuerySignatureVerificationFailedErrorCode,
  type RequestId,
  UncertifiedRejectErrorCode,
  UncertifiedRejectUpdateErrorCode,
  UnexpectedErrorCode,
} from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { FormatError, messageOf, UserError } from "../errors.ts";
import {
  ClockError,
  ERROR_CODES,
  HttpStatusError,
  NoAnswerError,
  NoSuchCanisterError,
  NoWayError,
  RejectError,
  SignatureError,
  UnknownCanisterError,
} from "./call-errors.ts";
import { resolveNetwork } from "./network.ts";
import { hintFor, MOST_OF_PAGE, reasonOf, titleOf } from "./network-problem.ts";

/** A call that an agent makes, and the canister that it calls. */
export interface Called {
  readonly agent: Pick<HttpAgent, "host">;
  readonly canister: Principal;
}

/** fromAgent(), with a full explanation if the canister does not exist, or is frozen. */
export function fromCall(error: unknown, called: Called): Error {
  return withMissing(fromAgent(error), called);
}

/**
 * NoSuchCanisterError for any error that means the same, and advice for a canister that is out of cycles; other errors are returned
 * unchanged.
 */
export function withMissing(error: Error, { agent, canister }: Called): Error {
  if (error instanceof RejectError && error.errorCode === ERROR_CODES.outOfCycles) {
    const message = `canister ${canister} is out of cycles: it is frozen, and answers again when it has been topped up (${howToTopUp({ agent, canister })})`;
    return new RejectError(error.code, message, error.errorCode, message, error.isGateways);
  }
  const isMissing =
    error instanceof UnknownCanisterError ||
    (error instanceof RejectError && error.errorCode === ERROR_CODES.canisterNotFound);
  if (!isMissing) return error;
  const { url, loopback } = resolveNetwork(agent.host.href);
  return new NoSuchCanisterError(canister.toText(), url, loopback);
}

/** How anybody can send a canister cycles. */
export function howToTopUp({ agent, canister }: Called): string {
  return resolveNetwork(agent.host.href).loopback
    ? "on a local network with provisional_top_up_canister"
    : `icp canister top-up --network ic --amount 1t ${canister}`;
}

/** Why the agent rejects the signature of a certificate or a node: it is wrong, it is missing, or no node of the subnet has made it. */
const SIGNATURES = [
  CertificateVerificationErrorCode,
  CertificateNotAuthorizedErrorCode,
  MalformedPublicKeyErrorCode,
  MalformedSignatureErrorCode,
  MissingSignatureErrorCode,
  QuerySignatureVerificationFailedErrorCode,
];

/** The id of the request that failed, if the agent says so. */
export function requestIn(error: unknown): RequestId | undefined {
  return error instanceof AgentError ? error.code.requestContext?.requestId : undefined;
}

/** The error as one of ours, with a message of one sentence: the agent's own contain whole certificates and many lines of context. */
export function fromAgent(error: unknown): Error {
  if (error instanceof ClockError) return error;
  // On some answers the agent's decoders throw errors that are not its own.
  if (!(error instanceof AgentError)) return new Error(messageOf(error));
  const { code } = error;
  if (code instanceof UnexpectedErrorCode) return fromAgent(code.error);
  if (isReject(code)) {
    const reason = rejectReason(code.rejectMessage);
    return new RejectError(code.rejectCode, reason, code.rejectErrorCode, reason);
  }
  if (code instanceof IngressExpiryInvalidErrorCode) return wrongTime();
  if (code instanceof HttpErrorCode) return httpError(code);
  if (SIGNATURES.some((kind) => code instanceof kind)) {
    return new SignatureError(
      "the signature of the answer is not this network's: another one answers, or somebody changes its answers",
    );
  }
  // Whatever the cause, the error is one that is tried again: even a captive portal's page may be gone soon.
  if (code instanceof HttpFetchErrorCode) {
    const { error: cause } = code;
    if (cause instanceof UserError) return cause;
    const Kind = cause instanceof NoWayError ? NoWayError : NoAnswerError;
    return new Kind(withAdvice(reasonOf(cause), hintFor(cause)), { cause });
  }
  return new Error(messageOf(error));
}

function isReject(
  code: unknown,
): code is CertifiedRejectErrorCode | UncertifiedRejectErrorCode | UncertifiedRejectUpdateErrorCode {
  return (
    code instanceof CertifiedRejectErrorCode ||
    code instanceof UncertifiedRejectErrorCode ||
    code instanceof UncertifiedRejectUpdateErrorCode
  );
}

export interface Rejection {
  readonly code: number;
  readonly message: string;
  readonly errorCode: string | undefined;
}

/** The fields of a rejection, which may be unsigned. @throws FormatError when there are none */
export function rejectionIn(answer: {
  readonly reject_code?: unknown;
  readonly reject_message?: unknown;
  readonly error_code?: unknown;
}): Rejection {
  const { reject_code: code, reject_message: message, error_code: errorCode } = answer;
  if (typeof code !== "number" || typeof message !== "string") {
    throw new FormatError("the answer is a rejection without a code or a message");
  }
  return { code, message, errorCode: typeof errorCode === "string" ? errorCode : undefined };
}

/** Characters of a rejection that are searched: more than an honest one's prefix and the 500 that are kept of its reason. */
const MOST_LOOKED_THROUGH = 4096;

/** The canister's own words if it trapped, without what the network puts around them; otherwise the network's first line. */
export function rejectReason(rejection: string): string {
  // It may be unsigned and have megabytes, and the search below is quadratic.
  const message = rejection.slice(0, MOST_LOOKED_THROUGH);
  // The IC's wording today, and until 2024 (older local networks still use it).
  const own =
    /called `ic0\.trap` with message: '(.*?)'\.?(?:\n|$)/s.exec(message) ??
    /trapped explicitly: (.*)/.exec(message);
  return (own?.[1] ?? message).split("\n")[0]!.slice(0, 500);
}

function httpError({ status, statusText, headers, bodyText = "" }: HttpErrorCode): Error {
  if (/ingress.expiry/i.test(bodyText)) return wrongTime();
  const message = `HTTP status ${status} ${statusText}: ${oneSentence(bodyText)}`;
  // The wording of the IC's boundary nodes, and of PocketIC, on which local networks are built.
  const isUnknown = /canister_not_found|does not belong to any subnet/i.test(bodyText);
  if (isUnknown) return new UnknownCanisterError(status, message, retryAfter(headers));
  // The caller knows what to do about a busy canister.
  const hint = status < 429 ? hintFor(new HttpStatusError(status, message)) : undefined;
  return new HttpStatusError(status, withAdvice(message, hint), retryAfter(headers));
}

function withAdvice(message: string, hint: string | undefined): string {
  return hint === undefined ? message : `${message} (${hint})`;
}

/** The error for when the network's time, or that of what it has signed, differs from this host's clock. */
export function wrongTime(): ClockError {
  return new ClockError(
    `the network refuses the time of this request: set this host's clock, which says ${new Date().toISOString()}`,
  );
}

/** A gateway's own words, or the title of a page that somebody in between has sent. */
function oneSentence(text: string): string {
  const page = titleOf(text.slice(0, MOST_OF_PAGE));
  if (page !== undefined) return page;
  return text.replace(/\s+/g, " ").trim().slice(0, 300);
}

/** The limit for a gateway's Retry-After: a gateway that is not trusted must not put an upload to sleep. */
const LONGEST_RETRY_AFTER_MS = 60_000;

/** What HTTP's Retry-After says, in milliseconds; 0 without one. */
export function retryAfter(headers: HttpErrorCode["headers"]): number {
  const value = headers.find(([name]) => name.toLowerCase() === "retry-after")?.[1] ?? "";
  const wanted = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(wanted) ? 0 : Math.min(Math.max(0, wanted), LONGEST_RETRY_AFTER_MS);
}
