/**
 * Checks BLS signatures as the IC makes them, in G1 with keys in G2 (IC interface specification, "Certificate encoding"), by the
 * same library as @icp-sdk/core, which need not be loaded for it.
 */
import { bls12_381 } from "@noble/curves/bls12-381.js";

// Has the first signature of a process checked as quickly as those that follow. With each, the library looks whether the generator of
// the keys' group is in that group. For the first time it would make a table of its multiples, of use to who signs, which takes some
// times as long as the signature. A window of 1: without a table.
bls12_381.G2.Point.BASE.precompute(1);

/** @throws Error when one of them is none, as a point outside of the group */
export function verifySignature(publicKey: Uint8Array, signature: Uint8Array, message: Uint8Array): boolean {
  const { hash, verify } = bls12_381.shortSignatures;
  return verify(signature, hash(message), publicKey);
}
