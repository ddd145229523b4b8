/** Reads Content-Range (RFC 9110, 14.4) of a canister's answer that is one piece of a file. */
import { unusableAnswer } from "./gateway-error.ts";
import { type CanisterAnswer, headerOf } from "./http-canister.ts";

export interface Piece {
  /** Where it begins in the file, in bytes. */
  readonly begin: number;
  /** Its last byte. */
  readonly end: number;
  /** Bytes of the whole file. */
  readonly total: number;
}

const RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/;

/**
 * Which piece of a file an answer is.
 *
 * @param from the first byte that is missing: the piece must include it
 * @throws GatewayError when the piece does not include it, or does not fit its Content-Range
 */
export function pieceOf({ headers, body }: CanisterAnswer, from: number): Piece {
  const text = headerOf(headers, "content-range");
  if (text === undefined) throw unusableAnswer("A piece has no Content-Range header");
  const [begin, end, total] = (RANGE.exec(text.trim()) ?? []).slice(1).map(Number);
  if (begin === undefined || end === undefined || total === undefined || begin > end || end >= total)
    throw unusableAnswer(`Content-Range "${text}" makes no sense`);
  if (begin > from || end < from)
    throw unusableAnswer(`The gateway asked for byte ${from}, and the canister answered with "${text}"`);
  if (body.length !== end - begin + 1)
    throw unusableAnswer(`A piece with Content-Range "${text}" has ${body.length} bytes`);
  return { begin, end, total };
}
