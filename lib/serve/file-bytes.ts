/** Reads a file, or a range of it, from chunks that are here. */
import { letOthers } from "../steps.ts";
import type { Chunk, Tree, TreeFile } from "../tree/tree.ts";

/** The approximate size of a piece. Progress is noticed once per piece. */
export const PIECE_BYTES = 64 * 1024;
/** Extents handled between two pauses; they take a millisecond or two. A file may have a million extents of one byte. */
const EXTENTS_PER_STEP = 4000;

/**
 * The bytes from `start` up to `end`, in pieces.
 *
 * @param chunk returns a chunk's verified bytes; an error ends the file
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
  // Small parts are copied together: there may be a million of one byte, each from another chunk.
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
