/**
 * Assets' contents, in the pieces in which they were uploaded. The pieces have any size, and their number is unknown. They are requested
 * ahead, as many at once as the link carries, and each is retried by itself, so that one failure does not restart a file. The
 * result is not verified yet.
 */
import { LRUCache } from "lru-cache";
import pLimit from "p-limit";
import { AdaptiveWindow } from "../../adaptive-window.ts";
import { UserError } from "../../errors.ts";
import { isHopeless } from "../../ic/call-errors.ts";
import type { Call } from "../../ic/canister-calls.ts";
import { VerificationError } from "../../ic/certificate/certificate.ts";
import { ASSET_PIECE_DEADLINE_MS, FIRST_ASSET_PIECES, MOST_ASSET_PIECES } from "../../readahead.ts";
import { retrying } from "../../retry.ts";
import { hexOf } from "../../tree/hash.ts";
import { LastingError } from "../source.ts";
import { type Content, getChunk, getFirst } from "./asset-canister.ts";

const ATTEMPTS = 4;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2000;
/** Limit on empty pieces in a row. */
const MOST_EMPTY = 100;
/** Pieces that are kept for readers that read one part after the other: each part is in two or three pieces. */
const RECENT_PIECES = 8;
/** Pieces of one part that are requested at once: somebody may have uploaded a file byte by byte. */
const PARALLEL_PIECES = 8;

export class Contents {
  readonly #call: Call;
  /** Shared by all reads. */
  readonly #window = new AdaptiveWindow({
    deadline: ASSET_PIECE_DEADLINE_MS,
    first: FIRST_ASSET_PIECES,
    most: MOST_ASSET_PIECES,
  });
  #underWay = 0;
  readonly #recent = new LRUCache<string, Promise<Buffer>>({ max: RECENT_PIECES });

  /** @param call by query, with signatures checked, so that a flipped bit costs one piece, and not the file */
  constructor(call: Call) {
    this.#call = call;
  }

  /**
   * All pieces in order, until there are `length` bytes.
   *
   * @param length the listed number of bytes, encoded
   * @throws VerificationError when there are more or fewer; ChangedError; what `call` throws
   */
  async *all(content: Content, length: number): AsyncGenerator<Buffer> {
    const { key } = content;
    const first = await this.#persistently(() => getFirst(this.#call, content));
    if (first.total !== length) throw wrongLength(key, first.total, length);
    const expected = first.content.length === 0 ? 1 : Math.ceil(length / first.content.length);
    const pending: Promise<Buffer>[] = [];
    let asked = 1;
    let received = first.content.length;
    let empty = 0;
    if (received > length) throw wrongLength(key, received, length);
    yield first.content;
    while (received < length) {
      // Pieces past the expected number are requested one at a time.
      while (pending.length === 0 || (asked < expected && this.#hasRoom(pending.length))) {
        const index = asked;
        const piece = this.#persistently(() => getChunk(this.#call, content, index));
        // Its reader gets the error.
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
  }

  /**
   * A part of a content, from the pieces that contain it. One attempt.
   *
   * @param sizes bytes of each piece
   * @param offset of the part in the content, in bytes
   * @param length bytes of the part
   * @throws ChangedError, VerificationError; what `call` throws
   */
  async range(content: Content, sizes: readonly number[], offset: number, length: number): Promise<Buffer> {
    const limit = pLimit(PARALLEL_PIECES);
    const parts: Promise<Buffer>[] = [];
    let start = 0;
    for (const [index, bytes] of sizes.entries()) {
      const [from, to] = [Math.max(0, offset - start), Math.min(bytes, offset + length - start)];
      if (from < to) {
        parts.push(limit(async () => (await this.#piece(content, index)).subarray(from, to)));
      }
      start += bytes;
    }
    return Buffer.concat(await Promise.all(parts));
  }

  /** Forgets the pieces that were read lately, when one of them has proved wrong. */
  forget(): void {
    this.#recent.clear();
  }

  #piece(content: Content, index: number): Promise<Buffer> {
    const key = `${hexOf(content.sha256)}\0${content.key}\0${index}`;
    let piece = this.#recent.get(key);
    if (piece === undefined) {
      piece = getChunk(this.#call, content, index);
      piece.catch(() => this.#recent.delete(key));
      this.#recent.set(key, piece);
    }
    return piece;
  }

  #hasRoom(pending: number): boolean {
    return pending < MOST_ASSET_PIECES && this.#window.hasRoom(this.#underWay);
  }

  /** What `ask` returns, after several attempts if necessary. */
  async #persistently<T>(ask: () => Promise<T>): Promise<T> {
    this.#underWay += 1;
    try {
      return await retrying(() => this.#timed(ask), {
        firstPause: FIRST_PAUSE_MS,
        longestPause: LONGEST_PAUSE_MS,
        again: (error, attempts) =>
          attempts < ATTEMPTS &&
          !(error instanceof LastingError) &&
          !(error instanceof UserError) &&
          !isHopeless(error),
      });
    } finally {
      this.#underWay -= 1;
    }
  }

  async #timed<T>(ask: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      const result = await ask();
      this.#window.arrived(performance.now() - start, this.#underWay);
      return result;
    } catch (error) {
      this.#window.failed();
      throw error;
    }
  }
}

function wrongLength(key: string, actual: number, listed: number): VerificationError {
  return new VerificationError(`asset ${key} is listed with ${listed} bytes, and has ${actual}`);
}
