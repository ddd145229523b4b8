/**
 * Stands in for @noble/curves/bls12-381.js in the tests (register-own-signatures.ts): has a process believe its own signatures. In
 * most tests a local network and its client are one process, and of each update's certificate a client checks two BLS signatures,
 * which takes 50 ms of the processor. One that this process has made is valid, for its key and its message; whatever else comes is
 * checked as ever.
 */
import { bls12_381 as real } from "@noble/curves/bls12-381.js";

const { hash, sign, verify, getPublicKey, Signature } = real.shortSignatures;
type Message = ReturnType<typeof hash>;

/** Messages as points of the curve, by their bytes: two of the same bytes are one. */
const messages = new Map<string, Message>();
/** Public keys by the secret ones. */
const publicKeys = new Map<string, ReturnType<typeof getPublicKey>>();
/** What was signed, by key and signature. */
const made = new Map<string, Message>();

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** The value under a key, made if there is none. */
function once<T>(map: Map<string, T>, key: string, make: () => T): T {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}

const own: typeof real.shortSignatures = {
  ...real.shortSignatures,
  hash: (bytes, domain) =>
    domain === undefined ? once(messages, hex(bytes), () => hash(bytes)) : hash(bytes, domain),
  getPublicKey: (secret) => once(publicKeys, hex(secret), () => getPublicKey(secret)),
  sign(message, secret) {
    const signature = sign(message, secret);
    made.set(`${own.getPublicKey(secret).toHex()} ${Signature.toHex(signature)}`, message);
    return signature;
  },
  verify: (signature, message, publicKey) =>
    (signature instanceof Uint8Array &&
      publicKey instanceof Uint8Array &&
      made.get(`${hex(publicKey)} ${hex(signature)}`) === message) ||
    verify(signature, message, publicKey),
};

export const bls12_381 = { ...real, shortSignatures: own };
