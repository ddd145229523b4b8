/** Why something does not answer like a network, for people, and what to do about it. */
import { FormatError, messageOf } from "../errors.ts";
import { HttpStatusError, NoAnswerError, PageError } from "./call-errors.ts";
import { codeOf, isCertificateCode, NO_SUCH_NAME } from "./transport/connection-codes.ts";

export interface NetworkProblem {
  readonly message: string;
  readonly advice: string;
}

/** Advice when the main network's name is not found. The name exists, so this host's resolver does not know it. */
const NO_NAMES =
  "this host's resolver does not know names of the Internet: see /etc/resolv.conf; where a proxy does, name it with --proxy URL. To try icfs without the Internet: `icfs localnet`, and --network local";
const CORRECT = "correct --network";

/**
 * What is wrong with a network that does not answer as one.
 *
 * @param network the network; its first URL, if there are several, is taken apart for the advice
 * @param thrown by networkStatus(), or by an agent
 */
export function networkProblem(
  { name, url, loopback }: { readonly name?: string; readonly url: string; readonly loopback: boolean },
  thrown: unknown,
): NetworkProblem {
  // An error from an agent already has the advice in its text.
  const isWrapped = thrown instanceof NoAnswerError && thrown.cause instanceof NoAnswerError;
  const error = isWrapped ? thrown.cause : thrown;
  const { pathname, origin } = new URL(url.split(",", 1)[0]!);
  if (error instanceof FormatError) {
    return {
      message: `${url} is not an IC network: its status cannot be read (${messageOf(error)})`,
      advice: `another server, a proxy or a captive portal answers in its place: ${CORRECT}`,
    };
  }
  if (error instanceof HttpStatusError) {
    const { status } = error;
    const message = `what answers at ${url} says HTTP status ${status}`;
    if (status === 404 && pathname !== "/") {
      return { message, advice: `a network has no path after its port: --network ${origin}` };
    }
    return { message, advice: hintFor(error) ?? `something other than a network is there: ${CORRECT}` };
  }
  const which = name === "ic" ? " (--network ic, the default)" : "";
  const message = `no network answers at ${url}${which} (${reasonOf(error)})`;
  if (name === "ic" && codeOf(error) === NO_SUCH_NAME) return { message, advice: NO_NAMES };
  const hint = hintFor(error);
  if (hint !== undefined) return { message, advice: hint };
  if (!loopback) {
    return {
      message,
      advice:
        "look at this host's resolver, routes and firewall: it must get there, and nowhere else; behind a proxy say which, --proxy URL. A mount goes on with what it has fetched",
    };
  }
  if (codeOf(error) === "ECONNREFUSED") return { message, advice: "start one with `icfs localnet`" };
  return {
    message,
    advice: `something is there that does not answer as a network does, or not yet: look at what has that port, or ${CORRECT}`,
  };
}

/** How many bytes of an answer are searched for a page of HTML. */
export const MOST_OF_PAGE = 4096;

/** A description of a page of HTML, with its title; undefined when the text is not one. @param text at most MOST_OF_PAGE characters */
export function titleOf(text: string): string | undefined {
  if (!/^\s*<(!doctype|html|head|title|!--)/i.test(text)) return undefined;
  const title = /<title[^>]*>([^<]{1,200})/i.exec(text)?.[1]?.replace(/\s+/g, " ").trim();
  return title ? `a page of HTML, "${title}"` : "a page of HTML";
}

/** Why a request has failed, without Node's advice about starting Node, and without OpenSSL's source location. */
export function reasonOf(error: unknown): string {
  return messageOf(error)
    .replace(/; if the root CA is installed locally.*/, "")
    .replace(/^write EPROTO .*:SSL routines:[^:]*:([^:]+):.*/, "TLS: $1");
}

/**
 * What to do about a failed request, if its answer came from somebody in between or in another protocol; undefined: the error does not
 * show that.
 *
 * @param error with its cause
 */
export function hintFor(error: unknown): string | undefined {
  if (error instanceof HttpStatusError) return STATUS_HINTS.get(error.status) ?? busyHint(error.status);
  if (error instanceof PageError) {
    return "a proxy, a filter or a captive portal answers in its place: log in there, or have whoever runs it let icfs through";
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
