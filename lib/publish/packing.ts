/**
 * Where packs end: small pieces that follow one another (files in path order, entries of a manifest) go into one chunk,
 * and whether a chunk ends behind a piece depends on that piece alone. So one that is added, removed or changed moves
 * the boundaries next to it, and those further on stay: only its own pack is sent again.
 */

/** How large packs are on average. Small enough to be cheap to send again, large enough that 250 GRUB modules are 10 queries. */
export const PACK_TARGET_BYTES = 256 * 1024;
/** A pack ends before it would grow over this, so that two packs and a manifest stay under 2 MiB. */
export const PACK_MAX_BYTES = 768 * 1024;

/**
 * Whether a pack ends behind a piece: by its hash, with a probability that grows with its size, so that packs are of
 * the target's size whatever the pieces' sizes.
 */
export function endsPack(sha256: Uint8Array, size: number): boolean {
  const view = Buffer.from(sha256.buffer, sha256.byteOffset, sha256.byteLength);
  return view.readUInt32BE(0) < (size / PACK_TARGET_BYTES) * 2 ** 32;
}
