/**
 * Replaces @noble/curves/bls12-381.js in the tests (register-own-signatures.ts), so that a process trusts its own signatures. In
 * most tests a local network and its client share a process, and for each update's certificate the client checks two BLS
 * signatures, which takes 50 ms of processor time. A signature that this process has made is valid for its key and its message;
 * any other is checked as usual.
 */
import { bls12_381 as real } from "@noble/curves/bls12-381.js";

const { hash, verify } = real.shortSignatures;
type Message = ReturnType<typeof hash>;

/** Stands for the point of a message that this process has signed: to compute the point takes 8 ms. */
class SignedMessage {
  readonly bytes: Uint8Array;
  /** The signatures that this process has made of it, each behind its public key. */
  readonly made = new Set<string>();

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** By their bytes. */
const signedMessages = new Map<string, SignedMessage>();

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const signatureBy = (publicKey: Uint8Array, signature: Uint8Array) => `${hex(publicKey)} ${hex(signature)}`;

/** Remembers a signature that this process has made. */
export function trust(publicKey: Uint8Array, signature: Uint8Array, message: Uint8Array): void {
  const signed = signedMessages.get(hex(message)) ?? new SignedMessage(message);
  signedMessages.set(hex(message), signed);
  signed.made.add(signatureBy(publicKey, signature));
}

const own: typeof real.shortSignatures = {
  ...real.shortSignatures,
  hash: (bytes, domain) =>
    (domain === undefined && (signedMessages.get(hex(bytes)) as unknown as Message)) || hash(bytes, domain),
  verify(signature, message, publicKey) {
    if (!(message instanceof SignedMessage)) return verify(signature, message, publicKey);
    const { made, bytes } = message;
    const areBytes = signature instanceof Uint8Array && publicKey instanceof Uint8Array;
    return (
      (areBytes && made.has(signatureBy(publicKey, signature))) || verify(signature, hash(bytes), publicKey)
    );
  },
};

export const bls12_381 = { ...real, shortSignatures: own };
