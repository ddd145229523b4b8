/**
 * Packs consecutive small pieces (files in path order, entries of a manifest) into one chunk. Whether a pack ends after a piece
 * depends on that piece alone. So adding, removing or changing a piece moves only the boundaries next to it: later packs stay the
 * same, and only the piece's own pack is sent again.
 */
import { createHash } from "node:crypto";
import { MAX_CHUNK_BYTES } from "../tree/limits.ts";

/**
 * The average size of a pack; files of this size or more are not packed. Small enough to be cheap to send again, large enough
 * that 250 GRUB modules take 10 queries. There is no minimum: any piece may end a pack.
 */
export const PACK_TARGET_BYTES = 256 * 1024;
/** A pack ends before it would exceed this, so that two packs and a manifest stay under 2 MiB. */
export const PACK_MAX_BYTES = 768 * 1024;

export interface Piece {
  readonly bytes: Buffer;
  /** Of the piece's bytes. */
  readonly sha256: Uint8Array;
}

/** Collects consecutive pieces into packs. */
export class Packer<P extends Piece> {
  readonly #packed: (pieces: readonly P[]) => void;
  #pieces: P[] = [];
  #bytes = 0;

  /** @param packed called with the pieces of each complete pack, in order */
  constructor(packed: (pieces: readonly P[]) => void) {
    this.#packed = packed;
  }

  /** @param piece of one byte or more; it is kept until its pack is complete */
  add(piece: P): void {
    const { bytes, sha256 } = piece;
    if (this.#bytes + bytes.length > PACK_MAX_BYTES) this.close();
    this.#pieces.push(piece);
    this.#bytes += bytes.length;
    if (endsPack(sha256, bytes.length)) this.close();
  }

  /** Completes the last pack. */
  close(): void {
    if (this.#pieces.length > 0) this.#packed(this.#pieces);
    this.#pieces = [];
    this.#bytes = 0;
  }
}

/**
 * Whether a pack ends after a piece. The piece's hash decides, with a probability that grows with its size, so that packs average
 * the target size for pieces of any size.
 */
function endsPack(sha256: Uint8Array, size: number): boolean {
  const view = Buffer.from(sha256.buffer, sha256.byteOffset, sha256.byteLength);
  return view.readUInt32BE(0) < (size / PACK_TARGET_BYTES) * 2 ** 32;
}

/** The bytes of pieces that were packed together. */
export function packOf(pieces: readonly Piece[]): Buffer {
  return Buffer.concat(pieces.map(({ bytes }) => bytes));
}

/** Cuts an encoded manifest in the same way; its entries are the small pieces. */
export function cutManifest(encoded: readonly Buffer[]): Buffer[] {
  const chunks: Buffer[] = [];
  const packer = new Packer((pieces) => chunks.push(packOf(pieces)));
  for (const bytes of encoded.flatMap(splitLarge)) {
    packer.add({ bytes, sha256: createHash("sha256").update(bytes).digest() });
  }
  packer.close();
  return chunks;
}

/** An entry of a file of 85 GiB is larger than a chunk. */
function splitLarge(piece: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < piece.length; at += MAX_CHUNK_BYTES)
    parts.push(piece.subarray(at, at + MAX_CHUNK_BYTES));
  return parts;
}
