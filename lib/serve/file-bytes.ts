/** A file's bytes, or a part of them, out of chunks that are here. */
import { letOthers } from "../steps.ts";
import type { Chunk, Tree, TreeFile } from "../tree/tree.ts";

/** What is handed over at a time, about: what leaves is noticed by the piece. */
export const PIECE_BYTES = 64 * 1024;
/** Extents between two pauses: a millisecond or two. A file may have a million of one byte. */
const EXTENTS_PER_STEP = 4000;

/**
 * The bytes from `start` up to `end`, in pieces.
 *
 * @param chunk a chunk's verified bytes; what it throws ends the file
 */
export async function* fileBytes(
  { extents }: TreeFile,
  { chunks }: Tree,
  start: number,
  end: number,
  chunk: (reference: Chunk) => Promise<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  let at = 0;
  let held: { readonly number: number; readonly bytes: Buffer } | undefined;
  // What is less than a piece is copied: there may be a million of one byte, each in another chunk.
  let rest = Buffer.alloc(0);
  let filled = 0;
  for (const [i, extent] of extents.entries()) {
    if (i % EXTENTS_PER_STEP === EXTENTS_PER_STEP - 1) await letOthers();
    const from = at;
    at += extent.length;
    if (at <= start) continue;
    if (from >= end) break;
    if (held?.number !== extent.chunk) {
      held = { number: extent.chunk, bytes: await chunk(chunks[extent.chunk]!) };
    }
    const last = extent.offset + Math.min(extent.length, end - from);
    for (let next = extent.offset + Math.max(0, start - from); next < last; ) {
      const bytes = held.bytes.subarray(next, Math.min(last, next + PIECE_BYTES - filled));
      next += bytes.length;
      if (bytes.length === PIECE_BYTES) {
        yield bytes;
        continue;
      }
      if (filled === 0) rest = Buffer.allocUnsafe(PIECE_BYTES);
      filled += bytes.copy(rest, filled);
      if (filled < PIECE_BYTES) continue;
      yield rest;
      filled = 0;
    }
  }
  if (filled > 0) yield rest.subarray(0, filled);
}
