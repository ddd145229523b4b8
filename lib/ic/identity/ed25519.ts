/**
 * An Ed25519 identity that signs with Node's own cryptography. Core's computes a table first, which takes about as long as everything else in
 * a short command.
 */
import { createPublicKey, type KeyObject, sign } from "node:crypto";
import { type DerEncodedPublicKey, type PublicKey, type Signature, SignIdentity } from "@icp-sdk/core/agent";

export class Ed25519Identity extends SignIdentity {
  readonly #privateKey: KeyObject;
  readonly #publicKey: PublicKey;

  /** @param privateKey of kind Ed25519 */
  constructor(privateKey: KeyObject) {
    super();
    this.#privateKey = privateKey;
    // RFC 8410, section 4, as the IC has it (interface specification, "Signatures").
    const der = Uint8Array.from(createPublicKey(privateKey).export({ type: "spki", format: "der" }));
    this.#publicKey = { toDer: () => der as DerEncodedPublicKey };
  }

  override getPublicKey(): PublicKey {
    return this.#publicKey;
  }

  override async sign(blob: Uint8Array): Promise<Signature> {
    return Uint8Array.from(sign(null, blob, this.#privateKey)) as Signature;
  }
}
