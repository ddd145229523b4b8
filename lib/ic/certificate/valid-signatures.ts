/**
 * The BLS signatures that this process has found valid. Certificates come with the same delegation for days: checking that only once halves
 * the processor time that a certificate takes.
 */
import { LRUCache } from "lru-cache";

/** Checks a BLS signature; verifySignature() of bls.ts by default. */
export type BlsVerify = (
  publicKey: Uint8Array,
  signature: Uint8Array,
  message: Uint8Array,
) => Promise<boolean> | boolean;

const valid = new LRUCache<string, true>({ max: 16 });

/** Whether a signature is valid, as `verify` says, which is asked only once for a valid one. @throws what `verify` throws */
export async function isValid(
  verify: BlsVerify,
  ...signed: readonly [publicKey: Uint8Array, signature: Uint8Array, message: Uint8Array]
): Promise<boolean> {
  const lengths = signed.map(({ length }) => length).join();
  const known = `${lengths} ${Buffer.concat(signed).toString("latin1")}`;
  if (valid.has(known)) return true;
  const answer = await verify(...signed);
  if (answer) valid.set(known, true);
  return answer;
}
