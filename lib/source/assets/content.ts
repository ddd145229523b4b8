/**
 * An asset's content, in the pieces in which it was uploaded: of any sizes, and nobody says how many. They are asked for ahead,
 * as many as there should be when all are as large as the first.
 */
import type { Call } from "../../ic/canister-calls.ts";
import { VerificationError } from "../../ic/certificate.ts";
import { fewAttempts } from "../few-attempts.ts";
import { type Content, getChunk, getFirst } from "./canister.ts";

/** 8 of 1.9 MB: enough to keep a long link busy. */
const AHEAD = 8;
/** Pieces may be empty, but not for ever. */
const MOST_EMPTY = 100;

/**
 * The pieces in order, until there are as many bytes as were listed. What they hash to is the caller's to check.
 *
 * @param length bytes that were listed
 * @throws VerificationError when there are more or fewer; ChangedError; what `call` throws
 */
export async function* contentOf(call: Call, content: Content, length: number): AsyncGenerator<Buffer> {
  const first = await fewAttempts(() => getFirst(call, content));
  const { key } = content;
  if (first.total !== length) throw wrongLength(key, first.total, length);
  const expected = first.content.length === 0 ? 1 : Math.ceil(length / first.content.length);
  const pending: Promise<Buffer>[] = [];
  let asked = 1;
  let received = first.content.length;
  let empty = 0;
  yield first.content;
  while (received < length) {
    // Beyond what is expected, one at a time.
    while (pending.length < AHEAD && (asked < expected || pending.length === 0)) {
      const index = asked;
      const piece = fewAttempts(() => getChunk(call, content, index));
      // Whoever waits for it is told.
      piece.catch(() => {});
      pending.push(piece);
      asked += 1;
    }
    const piece = await pending.shift()!;
    received += piece.length;
    empty = piece.length === 0 ? empty + 1 : 0;
    if (received > length || empty > MOST_EMPTY) throw wrongLength(key, received, length);
    yield piece;
  }
  if (received > length) throw wrongLength(key, received, length);
}

/**
 * A part of the content, from the pieces that it lies in.
 *
 * @param sizes bytes of each piece
 * @param get fetches one, by its index
 */
export async function rangeOf(
  sizes: readonly number[],
  offset: number,
  length: number,
  get: (index: number) => Promise<Buffer>,
): Promise<Buffer> {
  const parts: Promise<Buffer>[] = [];
  let start = 0;
  for (const [index, bytes] of sizes.entries()) {
    const [from, to] = [Math.max(0, offset - start), Math.min(bytes, offset + length - start)];
    if (from < to) parts.push(get(index).then((piece) => piece.subarray(from, to)));
    start += bytes;
  }
  return Buffer.concat(await Promise.all(parts));
}

function wrongLength(key: string, actual: number, listed: number): VerificationError {
  return new VerificationError(`asset ${key} is listed with ${listed} bytes, and has ${actual}`);
}
