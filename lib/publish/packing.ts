/**
 * Packing: small pieces that follow one another (files in path order, entries of a manifest) go into one chunk, a pack.
 * Whether a pack ends behind a piece depends on that piece alone. So one that is added, removed or changed moves the
 * boundaries next to it, and those further on stay: only its own pack is sent again.
 */
import { createHash } from "node:crypto";
import { MAX_CHUNK_BYTES } from "../tree/limits.ts";

/**
 * How large packs are on average; a file from this size on is not packed. Small enough to be cheap to send again, large enough
 * that 250 GRUB modules are 10 queries. No pack is too small: a piece may end one whatever is in it.
 */
export const PACK_TARGET_BYTES = 256 * 1024;
/** A pack ends before it would grow over this, so that two packs and a manifest stay under 2 MiB. */
export const PACK_MAX_BYTES = 768 * 1024;

export interface Piece {
  readonly bytes: Buffer;
  /** Of the bytes. */
  readonly sha256: Uint8Array;
}

/** Puts pieces one after the other into packs. */
export class Packer<P extends Piece> {
  readonly #packed: (pieces: readonly P[]) => void;
  #pieces: P[] = [];
  #bytes = 0;

  /** @param packed given each pack once it is complete: its pieces, in order */
  constructor(packed: (pieces: readonly P[]) => void) {
    this.#packed = packed;
  }

  /** @param piece of one byte or more, which it keeps until its pack is complete */
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
 * Whether a pack ends behind a piece: by its hash, with a probability that grows with its size, so that packs are of
 * the target's size whatever the pieces' sizes.
 */
function endsPack(sha256: Uint8Array, size: number): boolean {
  const view = Buffer.from(sha256.buffer, sha256.byteOffset, sha256.byteLength);
  return view.readUInt32BE(0) < (size / PACK_TARGET_BYTES) * 2 ** 32;
}

/** The bytes of pieces that were packed together. */
export function packOf(pieces: readonly Piece[]): Buffer {
  return Buffer.concat(pieces.map(({ bytes }) => bytes));
}

/** Cuts an encoded manifest as files are packed: its entries are the small pieces. */
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
