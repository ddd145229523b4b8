/** Why a network does not answer as one, for people, and what to do about it. */
import { FormatError, messageOf } from "../errors.ts";
import { HttpStatusError, NoAnswerError, PageError } from "./call-errors.ts";
import { codeOf, isCertificateCode, NO_SUCH_NAME } from "./transport/connection-codes.ts";

export interface NetworkProblem {
  readonly message: string;
  readonly advice: string;
}

const CORRECT = "correct --network";

/**
 * @param network whose status was asked for, in vain
 * @param thrown what networkStatus() has thrown
 */
export function networkProblem(
  { name, url, loopback }: { readonly name?: string; readonly url: string; readonly loopback: boolean },
  thrown: unknown,
): NetworkProblem {
  // One that has come through an agent has the advice in its text.
  const isWrapped = thrown instanceof NoAnswerError && thrown.cause instanceof NoAnswerError;
  const error = isWrapped ? thrown.cause : thrown;
  const { pathname, origin } = new URL(url.split(",", 1)[0]!);
  if (error instanceof FormatError) {
    return {
      message: `${url} is no IC network: its status cannot be read (${messageOf(error)})`,
      advice: `another server, a proxy or a captive portal answers in its place: ${CORRECT}`,
    };
  }
  if (error instanceof HttpStatusError) {
    const { status } = error;
    const message = `what answers at ${url} says HTTP status ${status}`;
    if (status === 404 && pathname !== "/") {
      return { message, advice: `a network has no path behind its port: --network ${origin}` };
    }
    return { message, advice: hintFor(error) ?? `another server than a network is there: ${CORRECT}` };
  }
  const which = name === "ic" ? " (--network ic, the default)" : "";
  const message = `no network answers at ${url}${which} (${reasonOf(error)})`;
  const hint = hintFor(error);
  if (hint !== undefined) return { message, advice: hint };
  if (!loopback) {
    return {
      message,
      advice:
        "look at this host's resolver, routes and firewall: it must get there, and nowhere else; behind a proxy say which, --proxy URL. What has been fetched is served meanwhile",
    };
  }
  if (codeOf(error) === "ECONNREFUSED") return { message, advice: "start one with `icfs localnet`" };
  return {
    message,
    advice: `something is there that does not answer as a network does, or not yet: look at what has that port, or ${CORRECT}`,
  };
}

/** What is looked at of an answer that may be a page of HTML, in bytes. */
export const MOST_OF_PAGE = 4096;

/** What a page of HTML is, by its title; undefined when the text is none. @param text of MOST_OF_PAGE at most */
export function titleOf(text: string): string | undefined {
  if (!/^\s*<(!doctype|html|head|title|!--)/i.test(text)) return undefined;
  const title = /<title[^>]*>([^<]{1,200})/i.exec(text)?.[1]?.replace(/\s+/g, " ").trim();
  return title ? `a page of HTML, "${title}"` : "a page of HTML";
}

/** Why a request has failed, without Node's advice to who starts Node, and where in OpenSSL it was found out. */
export function reasonOf(error: unknown): string {
  return messageOf(error)
    .replace(/; if the root CA is installed locally.*/, "")
    .replace(/^write EPROTO .*:SSL routines:[^:]*:([^:]+):.*/, "TLS: $1");
}

/**
 * What to do about an answer that comes from somebody in between, or in another protocol; undefined: that does not say.
 *
 * @param error of a request, with its cause
 */
export function hintFor(error: unknown): string | undefined {
  if (error instanceof HttpStatusError) return STATUS_HINTS.get(error.status) ?? busyHint(error.status);
  if (error instanceof PageError) {
    return "a proxy, a filter or a captive portal answers in its place: log in there, or have who runs it let icfs through";
  }
  if (error instanceof NoAnswerError && error.advice !== undefined) return error.advice;
  const code = codeOf(error);
  if (code === undefined) return undefined;
  if (code === NO_SUCH_NAME) {
    return "the name does not exist: correct --network, or say through which proxy outside names are known, --proxy URL";
  }
  if (code === "EPROTO" || code.startsWith("ERR_SSL"))
    return "it does not speak TLS: say http:// in --network";
  if (code.startsWith("HPE_")) return `it does not speak HTTP: say https:// in --network, or ${CORRECT}`;
  if (isCertificateCode(code)) {
    return "its TLS certificate is not trusted on this host: set the clock if that is wrong, give the authority's certificate with --ca-bundle FILE (this host's own authorities are asked as well), or correct --network";
  }
  return undefined;
}

const REFUSES = `a proxy, a firewall or another server refuses this host: have it let icfs through, or ${CORRECT}`;
const STATUS_HINTS: ReadonlyMap<number, string> = new Map([
  [401, REFUSES],
  [403, REFUSES],
  [
    407,
    "a proxy answers there, and wants a login: name it with --proxy, and the network itself in --network",
  ],
]);

function busyHint(status: number): string | undefined {
  const isBusy = status === 429 || status >= 500;
  return isBusy ? "it is there, and cannot answer now: try again in a moment" : undefined;
}
