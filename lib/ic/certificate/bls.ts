/**
 * Checks BLS signatures as the IC makes them, in G1 with keys in G2 (IC interface specification, "Certificate encoding"), by the
 * same library as @icp-sdk/core, which need not be loaded for it.
 */
import { bls12_381 } from "@noble/curves/bls12-381.js";
import "./frobenius.ts";

// Makes the first check of a process as fast as later ones. With each signature, the library checks whether the generator of
// the keys' group is in that group. The first time, it would build a table of its multiples for signing, which takes several
// times as long as the check. A window of 1 means no table.
bls12_381.G2.Point.BASE.precompute(1);

/**
 * Whether a signature is valid.
 *
 * @param publicKey 96 bytes, a compressed point of G2
 * @param signature 48 bytes, a compressed point of G1
 * @throws Error when one of them is not such a point of the group
 */
export function verifySignature(publicKey: Uint8Array, signature: Uint8Array, message: Uint8Array): boolean {
  const { hash, verify } = bls12_381.shortSignatures;
  return verify(signature, hash(message), publicKey);
}
