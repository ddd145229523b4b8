/** Replaces localnet/bls.ts in the tests (register-own-signatures.ts): remembers what a local network in this process has signed. */
import { publicKeyOf as computePublicKey, newSecret, sign as signReally } from "../../localnet/bls.ts";
import { trust } from "./own-signatures.ts";

export { newSecret };

/** Public keys by their secret keys. */
const publicKeys = new Map<string, Uint8Array>();

export function publicKeyOf(secret: Uint8Array): Uint8Array {
  const key = Buffer.from(secret).toString("hex");
  const publicKey = publicKeys.get(key) ?? computePublicKey(secret);
  publicKeys.set(key, publicKey);
  return publicKey;
}

export function sign(message: Uint8Array, secret: Uint8Array): Uint8Array {
  const signature = signReally(message, secret);
  trust(publicKeyOf(secret), signature, message);
  return signature;
}
