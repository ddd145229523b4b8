/** What @dfinity/agent's errors mean: a sentence for the user, and whether trying again can help. */
import {
  AgentError,
  CertifiedRejectErrorCode,
  HttpErrorCode,
  HttpFetchErrorCode,
  IngressExpiryInvalidErrorCode,
  UncertifiedRejectErrorCode,
  UncertifiedRejectUpdateErrorCode,
} from "@dfinity/agent";
import { messageOf, UserError } from "../errors.ts";

/** A reject code (IC interface specification, "Reject codes"): the same call may pass later. */
export const SYS_TRANSIENT = 2;

/** The error in a sentence. Never the object: it carries whole certificates and many lines of context. */
export function agentMessage(error: unknown): string {
  if (!(error instanceof AgentError)) return messageOf(error);
  const { code } = error;
  if (isReject(code)) return rejectText(code.rejectMessage);
  if (isWrongTime(error)) {
    return `the network refuses the time of this request: set this host's clock, which says ${new Date().toISOString()}`;
  }
  if (code instanceof HttpErrorCode) {
    return `HTTP status ${code.status} ${code.statusText}: ${oneSentence(code.bodyText ?? "")}`;
  }
  if (code instanceof HttpFetchErrorCode) return messageOf(code.error);
  return messageOf(error);
}

/** A gateway's own words, which may be a page of HTML. */
function oneSentence(text: string): string {
  return text.replace(/\s+/g, " ").trim().slice(0, 300);
}

/**
 * Whether the same request may succeed later: no answer, none that can be believed (a bit was flipped on the way), too
 * busy, or expired on the way. Then nobody knows whether the canister has executed it.
 */
export function isTransient(error: unknown): boolean {
  // The agent's decoders choke on some answers with errors that are not its own.
  if (!(error instanceof AgentError)) return error instanceof Error && !(error instanceof UserError);
  const { code } = error;
  if (isReject(code)) return code.rejectCode === SYS_TRANSIENT;
  return !(code instanceof HttpErrorCode) || code.status === 429 || code.status >= 500 || isWrongTime(error);
}

/** A gateway that asks for more gets this; an upload must not be put to sleep by one that is not trusted. */
const LONGEST_RETRY_AFTER_MS = 60_000;

/** How many milliseconds whoever answered wants to be left alone (HTTP's Retry-After); 0 when it does not say. */
export function retryAfter(error: unknown): number {
  if (!(error instanceof AgentError) || !(error.code instanceof HttpErrorCode)) return 0;
  const value = error.code.headers.find(([name]) => name.toLowerCase() === "retry-after")?.[1] ?? "";
  const wanted = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(wanted) ? 0 : Math.min(Math.max(0, wanted), LONGEST_RETRY_AFTER_MS);
}

/** Whether a request came too late or too early by the network's clock. */
function isWrongTime({ code }: AgentError): boolean {
  if (code instanceof HttpErrorCode) return /ingress.expiry/i.test(code.bodyText ?? "");
  return code instanceof IngressExpiryInvalidErrorCode;
}

/** Whether the canister did not even take the message: its inspect_message said no, because of who sent it. */
export function isRefusedSender(error: unknown): boolean {
  if (!(error instanceof AgentError) || !isReject(error.code)) return false;
  return /inspect_message|rejected the message/.test(error.code.rejectMessage);
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

/** The canister's own words where it trapped, without what the network puts around them. */
function rejectText(message: string): string {
  // As the IC says it today, and as it did until 2024 (older local networks still do).
  const own =
    /called `ic0\.trap` with message: '(.*?)'\.?(?:\n|$)/s.exec(message) ??
    /trapped explicitly: (.*)/.exec(message);
  return (own?.[1] ?? message).split("\n")[0]!.slice(0, 500);
}
