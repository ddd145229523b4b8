/**
 * Checks that bytes have the form of a certificate, and no more parts than an honest one (IC interface specification,
 * "Certificate"). A certificate's tree has to be decoded and hashed before its signature can be checked, which takes the agent about
 * 30 µs a node. So this linear check comes first.
 */
import { FormatError } from "../../errors.ts";
import { CborReader, checkCbor } from "./cbor-reader.ts";

export interface CertificateLimits {
  /** Limit on the certificate, without that of its delegation. */
  readonly bytes: number;
  /** Limit on items of CBOR, in the certificate and in that of its delegation: a node of the tree is two to five. */
  readonly parts: number;
}

/** A canister's own data, with one leaf or two shown: a few hundred parts, whatever the subnet holds. */
export const ONE_ITEM: CertificateLimits = { bytes: 64 * 1024, parts: 2000 };
/** A call's reply, a section of a Wasm module, or all nodes of a subnet with their keys: the largest have a few thousand parts. */
export const ANY_ITEM: CertificateLimits = { bytes: 4 * 1024 * 1024, parts: 10_000 };
/** Limit on a delegation's certificate, which has a subnet's key and canister ranges. */
const MOST_DELEGATION_BYTES = 256 * 1024;

/** Checks the form of a certificate and its delegation, against limits. @throws FormatError */
export function checkCertificate(bytes: Uint8Array, limits: CertificateLimits): void {
  const rest = bytes.length - checkDelegation(bytes, limits);
  if (rest > limits.bytes) throw new FormatError(`a certificate of ${rest} bytes`);
}

/** @returns the bytes of the delegation's certificate; 0 without one */
function checkDelegation(bytes: Uint8Array, { parts }: CertificateLimits): number {
  checkCbor(bytes, parts);
  let length = 0;
  const reader = new CborReader(bytes);
  reader.selfDescribed();
  for (let left = reader.map(); left > 0; left--) {
    if (reader.text() !== "delegation") {
      reader.skip();
      continue;
    }
    for (let fields = reader.map(); fields > 0; fields--) {
      if (reader.text() !== "certificate") {
        reader.skip();
        continue;
      }
      const certificate = reader.bytes();
      length += certificate.length;
      if (length > MOST_DELEGATION_BYTES) throw new FormatError(`a delegation of ${length} bytes`);
      // A delegation's certificate has no delegation of its own: the decoder refuses one.
      checkCbor(certificate, parts);
    }
  }
  return length;
}
