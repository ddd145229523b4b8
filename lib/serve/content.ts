/** Sends bytes: all of them, a range, or 304 when the client has them already (RFC 9110). */
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import fresh from "fresh";
import type { Turn } from "./outgoing.ts";

/** Any other form of range is refused, as by the canister. */
const A_RANGE = /^(\d+-\d*|-\d+)$/;

export interface Content {
  /** Bytes. */
  readonly size: number;
  readonly headers: {
    readonly etag: string;
    readonly "cache-control": string;
    readonly "content-type": string;
  };
  /** The bytes from `start` up to `end`, in pieces. @throws Error when they cannot be fetched */
  bytes(start: number, end: number): AsyncIterable<Buffer>;
}

/**
 * Sends the content, as fast as the client takes it. If a part cannot be read, the connection is cut, so that no client takes the
 * answer for complete.
 *
 * @param turn held while chunks are in memory
 * @returns how many bytes were sent
 * @throws errors of `bytes`; then the response needs no further answer
 */
export async function sendContent(
  request: IncomingMessage,
  response: ServerResponse,
  { size, headers, bytes }: Content,
  turn: Turn,
): Promise<number> {
  // The request's Cache-Control is ignored: nothing newer can be fetched.
  if (fresh({ "if-none-match": request.headers["if-none-match"] }, headers)) {
    response.writeHead(304, { etag: headers.etag, "cache-control": headers["cache-control"] }).end();
    return 0;
  }
  const range = rangeOf(request, size, headers.etag);
  const all = { ...headers, "accept-ranges": "bytes" };
  if (range === "unsatisfiable") {
    const text = `this has ${size} bytes\n`;
    response
      .writeHead(416, {
        "content-range": `bytes */${size}`,
        "content-type": "text/plain; charset=utf-8",
        "content-length": text.length,
      })
      .end(request.method === "HEAD" ? undefined : text);
    return 0;
  }
  const { start, end } = range ?? { start: 0, end: size };
  const length = { "content-length": end - start };
  if (range === undefined) response.writeHead(200, { ...all, ...length });
  else {
    response.writeHead(206, { ...all, ...length, "content-range": `bytes ${start}-${end - 1}/${size}` });
  }
  if (request.method === "HEAD" || start === end) {
    response.end();
    return 0;
  }
  return write(response, bytes(start, end), turn);
}

/** The requested bytes, up to `end`; undefined: all. Several ranges are answered with everything, as the RFC allows. */
function rangeOf(
  { method, headers: { range, "if-range": ifRange } }: IncomingMessage,
  size: number,
  etag: string,
): { readonly start: number; readonly end: number } | "unsatisfiable" | undefined {
  if (method !== "GET" || range === undefined) return undefined;
  // A date says nothing about the content here.
  if (ifRange !== undefined && ifRange !== etag) return undefined;
  const text = /^bytes=(.*)$/i.exec(range)?.[1];
  // The range has another unit.
  if (text === undefined) return undefined;
  const asked = text.split(",").map((one) => one.trim());
  if (asked.some((one) => one !== "" && !A_RANGE.test(one))) return "unsatisfiable";
  const ranges = asked.map((one) => partOf(one, size)).filter(({ start, end }) => start < end);
  return ranges.length > 1 ? undefined : (ranges[0] ?? "unsatisfiable");
}

/** @param range 5-9, 5- or -5 (the last five bytes, or all if there are fewer) */
function partOf(range: string, size: number): { readonly start: number; readonly end: number } {
  const [first, last] = range.split("-");
  if (!first) return { start: Math.max(0, size - Number(last ?? 0)), end: size };
  return { start: Number(first), end: last ? Math.min(size, Number(last) + 1) : size };
}

async function write(response: ServerResponse, bytes: AsyncIterable<Buffer>, turn: Turn): Promise<number> {
  const closed = once(response, "close");
  let sent = 0;
  try {
    for await (const piece of bytes) {
      if (response.destroyed) return sent;
      if (!response.write(piece)) await Promise.race([once(response, "drain"), closed]);
      if (response.destroyed) return sent;
      turn.moved();
      sent += piece.length;
    }
    response.end();
    return sent;
  } finally {
    turn.end();
  }
}
