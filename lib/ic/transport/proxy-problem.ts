/** What is wrong with a proxy, or why it refuses a request, for people. */
import type { IncomingMessage } from "node:http";
import { messageOf } from "../../errors.ts";
import { NoAnswerError, NoWayError } from "../call-errors.ts";
import { codeOf, isLastingCode } from "./connection-codes.ts";
import { type ForwardProxy, shownProxy } from "./proxy.ts";

const LOGIN =
  "give it the login in its URL, http://USER:PASSWORD@HOST:PORT, in the environment (HTTPS_PROXY, ICFS_PROXY) or in a file (--proxy FILE), which others cannot read as they can a command line";

/** The error when a connection to the proxy itself fails. */
export function proxyFails(proxy: ForwardProxy, cause: Error): NoAnswerError {
  const code = codeOf(cause) ?? "";
  const message = `the proxy ${named(proxy)} does not answer: ${messageOf(cause)}`;
  const advice = code.startsWith("HPE_")
    ? `what is there does not speak HTTP: correct ${proxy.from}`
    : `check whether it runs, and correct ${proxy.from} if it is another`;
  return new (isLastingCode(code) ? NoWayError : NoAnswerError)(message, { cause, advice });
}

/**
 * The error when a proxy's answer to CONNECT opens no tunnel; undefined when it opens one.
 *
 * @param authority HOST:PORT, at which the tunnel was to end
 * @param head the first bytes after the answer's head: an open tunnel has none yet
 */
export function noTunnel(
  proxy: ForwardProxy,
  authority: string,
  { statusCode = 0, statusMessage = "", headers }: IncomingMessage,
  head: Uint8Array,
): NoAnswerError | undefined {
  if (statusCode === 407) return wantsLogin(proxy);
  const isPage = /html/i.test(headers["content-type"] ?? "");
  if (statusCode >= 200 && statusCode < 300) {
    if (!isPage && head.length === 0) return undefined;
    return new NoWayError(
      `the proxy ${named(proxy)} answers with a page in place of a tunnel to ${authority}`,
      {
        advice: `log in at the portal that it may be, or correct ${proxy.from}`,
      },
    );
  }
  // Squid's own word for why, such as ERR_DNS_FAIL 0.
  const squid = headers["x-squid-error"];
  const why = [statusMessage, typeof squid === "string" ? `(${squid.split(" ")[0]})` : ""].filter(Boolean);
  const message = `the proxy ${named(proxy)} opens no tunnel to ${authority}: HTTP status ${[statusCode, ...why].join(" ")}${isPage ? ", with a page of HTML" : ""}`;
  const isRefused = statusCode >= 400 && statusCode < 500 && statusCode !== 408 && statusCode !== 429;
  if (!isRefused) {
    return new NoAnswerError(message, {
      advice: `it cannot get there now: look at its log, or ask whoever runs it whether it may reach ${authority}`,
    });
  }
  return new NoWayError(message, {
    advice: `have whoever runs it let this host through to ${authority}, or correct ${proxy.from} if that is no proxy`,
  });
}

/** The error for HTTP status 407, of any request. */
export function wantsLogin(proxy: ForwardProxy): NoWayError {
  const isWrong = proxy.authorization !== undefined;
  const message = `the proxy ${named(proxy)} says HTTP status 407: ${isWrong ? "it does not accept the login that it was given" : "it wants a login"}`;
  return new NoWayError(message, { advice: isWrong ? `correct the login in ${proxy.from}` : LOGIN });
}

function named(proxy: ForwardProxy): string {
  return `${shownProxy(proxy)} (${proxy.from})`;
}
