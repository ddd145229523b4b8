/** What a subnet certifies about a canister's data, checked by @dfinity/agent against the root key. */
import {
  AgentError,
  Certificate,
  CertificateTimeErrorCode,
  CertificateVerificationErrorCode,
  lookupResultToBuffer,
} from "@dfinity/agent";
import type { Principal } from "@dfinity/principal";
import { FormatError, messageOf } from "../errors.ts";
import { ANY_ITEM, type CertificateLimits, checkCertificate, ONE_ITEM } from "./certificate-form.ts";

export interface CertifiedData {
  readonly data: Uint8Array;
  /** When the subnet certified it. */
  readonly time: Date;
}

/** Checks a BLS signature; @dfinity/agent's own by default. */
export type BlsVerify = (
  publicKey: Uint8Array,
  signature: Uint8Array,
  message: Uint8Array,
) => Promise<boolean> | boolean;

/** The certificate does not prove what it should. */
export class VerificationError extends Error {
  override readonly name = "VerificationError";
}

/** It is of another time than this host's clock shows: the clock is wrong, or somebody replays what is old. */
export class UntimelyError extends VerificationError {}

/** Whether what arrived is wrong; other errors mean that nothing did. */
export function isWrong(error: unknown): boolean {
  return error instanceof VerificationError || error instanceof FormatError;
}

/**
 * Verifies BLS signature, delegation, canister range, and that the certificate's time is within 5 minutes of this
 * host's clock (unless any age will do, as for what this host has verified before); returns what it says of the canister:
 * the data that the canister certifies, or another item.
 *
 * The agent is never given to `Certificate.create`: with one, it takes the time from the same gateway when a
 * certificate is stale, and accepts it.
 *
 * @throws VerificationError
 */
export async function verifyCertificate(
  bytes: Uint8Array,
  rootKey: Uint8Array,
  canisterId: Principal,
  item: "certified_data" | "controllers" = "certified_data",
  age: "fresh" | "any" = "fresh",
  blsVerify?: BlsVerify,
): Promise<CertifiedData> {
  return accepted(async () => {
    const certificate = await checked(bytes, ONE_ITEM, rootKey, canisterId, age, blsVerify);
    const data = lookupResultToBuffer(certificate.lookup_path(["canister", canisterId.toUint8Array(), item]));
    const time = lookupResultToBuffer(certificate.lookup_path(["time"]));
    if (data === undefined || time === undefined) {
      throw new FormatError(`it has no ${item.replace("_", " ")}`);
    }
    return { data, time: new Date(Number(decodeTime(time) / 1_000_000n)) };
  });
}

/**
 * A section of the canister's Wasm that is public, such as `candid:service`; undefined when the certificate does not show it,
 * which proves nothing.
 *
 * @throws VerificationError
 */
export async function verifyMetadata(
  bytes: Uint8Array,
  rootKey: Uint8Array,
  canisterId: Principal,
  section: string,
): Promise<string | undefined> {
  return accepted(async () => {
    const certificate = await checked(bytes, ANY_ITEM, rootKey, canisterId, "fresh");
    const path = ["canister", canisterId.toUint8Array(), "metadata", section];
    const content = lookupResultToBuffer(certificate.lookup_path(path));
    return content && Buffer.from(content).toString();
  });
}

async function checked(
  bytes: Uint8Array,
  limits: CertificateLimits,
  rootKey: Uint8Array,
  canisterId: Principal,
  age: "fresh" | "any",
  blsVerify?: BlsVerify,
): Promise<Certificate> {
  checkCertificate(bytes, limits);
  return Certificate.create({
    // A copy: the decoder returns empty leaves for views into a larger buffer.
    certificate: Uint8Array.from(bytes),
    rootKey,
    canisterId,
    disableTimeVerification: age === "any",
    ...(blsVerify && { blsVerify }),
  });
}

/** @throws VerificationError */
async function accepted<T>(look: () => Promise<T>): Promise<T> {
  try {
    return await look();
  } catch (error) {
    const isForeign = error instanceof AgentError && error.code instanceof CertificateVerificationErrorCode;
    const reason = isForeign
      ? "it does not verify by the network's root key: another network answers, or somebody changes its answers"
      : messageOf(error);
    const message = `the certificate is refused: ${reason}`;
    if (!(error instanceof AgentError && error.code instanceof CertificateTimeErrorCode)) {
      throw new VerificationError(message);
    }
    throw new UntimelyError(
      `${message} (this host's clock says ${new Date().toISOString()}: if that is wrong, set it; otherwise the gateway replays an old answer)`,
    );
  }
}

/** Nanoseconds since 1970 in unsigned LEB128. */
function decodeTime(bytes: Uint8Array): bigint {
  if (bytes.length > 10) throw new FormatError("its time is no number");
  return bytes.reduceRight((value, byte) => (value << 7n) | BigInt(byte & 0x7f), 0n);
}
