/**
 * fetch() for answers from gateways that are not trusted: bounded in time and size, and well-formed before anybody
 * decodes them.
 */
import { FormatError, messageOf } from "../errors.ts";
import { checkCbor } from "./cbor-reader.ts";

/** The IC's limit for a query's reply is 3 MiB; a certificate or a call's reply is far smaller. */
const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;
/** How many times the idle time-out all of an answer may take: a gateway must not hold a reader up with a trickle. */
const MAX_IDLE_TIMES = 6;

/**
 * A slow link is not a silent one: with several answers on their way at once each takes longer, and giving up on those
 * that do arrive would only send them all again. So the time-out begins anew with everything that arrives.
 *
 * @param idle milliseconds without a byte after which the request has failed
 * @throws Error when time or size is exceeded; FormatError when an answer of status 200 is no CBOR
 */
export async function boundedFetch(
  url: string | URL | Request,
  init: RequestInit | undefined,
  idle: number,
): Promise<Response> {
  const controller = new AbortController();
  const expire = () => controller.abort(new Error(`no answer within ${idle / 1000} s`));
  const longest = setTimeout(expire, idle * MAX_IDLE_TIMES);
  const silence = setTimeout(expire, idle);
  try {
    // Gateways have no reason to send a request elsewhere.
    const response = await fetch(url, { ...init, signal: controller.signal, redirect: "error" });
    const parts: Uint8Array[] = [];
    let total = 0;
    for await (const part of response.body ?? []) {
      silence.refresh();
      // What is counted is what was unpacked: a small answer may be compressed and huge.
      total += part.length;
      if (total > MAX_RESPONSE_BYTES)
        throw new Error(`an answer of over ${MAX_RESPONSE_BYTES} bytes is too large`);
      parts.push(part);
    }
    const { status, statusText, headers } = response;
    const bytes = Buffer.concat(parts);
    if (status === 200) checkAnswer(bytes, url);
    // No body at all where there may be none, as with 204.
    return new Response(total === 0 ? null : bytes, { status, statusText, headers });
  } finally {
    clearTimeout(longest);
    clearTimeout(silence);
    // Ends what is left of an answer that was refused.
    controller.abort();
  }
}

/** A captive portal's page, for one, comes with status 200. @throws FormatError */
function checkAnswer(bytes: Uint8Array, url: string | URL | Request): void {
  try {
    checkCbor(bytes);
  } catch (error) {
    const { origin } = new URL(url instanceof Request ? url.url : url);
    throw new FormatError(`what answers at ${origin} is no IC network: ${messageOf(error)}`);
  }
}
