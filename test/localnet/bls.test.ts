/** The local network's BLS signatures and keys, compared with the library's own. */
import { randomBytes } from "node:crypto";
import { bls12_381 } from "@noble/curves/bls12-381.js";
import t from "tap";
import { newSecret, publicKeyOf, sign } from "../../localnet/bls.ts";

const { getPublicKey, hash, sign: signAsLibrary, Signature, verify } = bls12_381.shortSignatures;
/** Among so many points, some have the larger y and some the smaller. */
const SECRETS = 20;
const LARGER_Y = 0x20;

t.test("signatures and public keys equal those of the library, byte for byte", async (t) => {
  const first: number[] = [];
  for (let i = 0; i < SECRETS; i++) {
    const secret = newSecret();
    const message = randomBytes(46);
    const signature = sign(message, secret);
    const publicKey = publicKeyOf(secret);
    t.same(publicKey, getPublicKey(secret).toBytes());
    t.same(signature, Signature.toBytes(signAsLibrary(hash(message), secret)));
    first.push(publicKey[0]! & LARGER_Y, signature[0]! & LARGER_Y);
  }
  t.same(new Set(first), new Set([0, LARGER_Y]));
});

t.test("a signature is valid only for its key and its message", async (t) => {
  const [secret, another] = [newSecret(), newSecret()];
  const message = randomBytes(46);
  const signature = sign(message, secret);
  t.equal(verify(signature, hash(message), publicKeyOf(secret)), true);
  t.equal(verify(signature, hash(randomBytes(46)), publicKeyOf(secret)), false);
  t.equal(verify(signature, hash(message), publicKeyOf(another)), false);
});
