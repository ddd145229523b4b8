/**
 * What a subnet certifies about a canister (IC interface specification, "Certificate"): whether a subnet has signed it, whether
 * the root key lets that subnet speak for the canister, and of when it is.
 */
import type { Principal } from "@icp-sdk/core/principal";
import { LRUCache } from "lru-cache";
import { FormatError, messageOf } from "../../errors.ts";
import { verifySignature } from "./bls.ts";
import { isInRanges } from "./canister-ranges.ts";
import { CborReader } from "./cbor-reader.ts";
import { ANY_ITEM, type CertificateLimits, checkCertificate, ONE_ITEM } from "./certificate-form.ts";
import { type HashTree, lookupLeaf, readHashTree, rootHash } from "./hash-tree.ts";

export interface CertifiedData {
  readonly data: Uint8Array;
  /** When the subnet certified it. */
  readonly time: Date;
}

/** Checks a BLS signature; verifySignature() of bls.ts by default. */
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

const MINUTE_MS = 60_000;
/** How old a certificate may be, and how far ahead of this host's clock. */
const MAX_AGE_MINUTES = 5;
/** A subnet's delegation is made anew now and then: it may be 30 days old. */
const MAX_DELEGATION_AGE_MINUTES = 30 * 24 * 60;
/** DER of a BLS12-381 public key in G2, up to the key itself. */
const DER_PREFIX = Buffer.from(
  "308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100",
  "hex",
);
const KEY_BYTES = 96;
/** A domain separator is preceded by its length. */
const STATE_ROOT = Buffer.from("\x0dic-state-root");

/** Whether what arrived is wrong; other errors mean that nothing did. */
export function isWrong(error: unknown): boolean {
  return error instanceof VerificationError || error instanceof FormatError;
}

/**
 * Verifies BLS signature, delegation, canister range, and that the certificate's time is within 5 minutes of this
 * host's clock (unless any age will do, as for what this host has verified before); returns what it says of the canister:
 * the data that the canister certifies, or another item.
 *
 * @throws VerificationError
 */
export async function verifyCertificate(
  bytes: Uint8Array,
  rootKey: Uint8Array,
  canisterId: Principal,
  item: "certified_data" | "controllers" | "module_hash" = "certified_data",
  age: "fresh" | "any" = "fresh",
  blsVerify?: BlsVerify,
): Promise<CertifiedData> {
  return accepted(async () => {
    const canister = canisterId.toUint8Array();
    const { tree, time } = await checked(bytes, ONE_ITEM, { rootKey, canister, age, blsVerify });
    const data = lookupLeaf(tree, ["canister", canister, item]);
    if (data === undefined) throw new FormatError(`it has no ${item.replace("_", " ")}`);
    return { data, time };
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
    const canister = canisterId.toUint8Array();
    const { tree } = await checked(bytes, ANY_ITEM, { rootKey, canister, age: "fresh" });
    return lookupLeaf(tree, ["canister", canister, "metadata", section])?.toString();
  });
}

/** An item of a call that a subnet certifies: `status`, `reply`, `reject_code`, ...; undefined when it is not shown. */
export type CallItem = (name: string) => Buffer | undefined;

/**
 * What has become of a call (IC interface specification, "Request status").
 *
 * @param requestId of the call
 * @param canisterId through whose subnet it was made
 * @throws VerificationError
 */
export async function verifyCall(
  bytes: Uint8Array,
  rootKey: Uint8Array,
  canisterId: Principal,
  requestId: Uint8Array,
  blsVerify?: BlsVerify,
): Promise<CallItem> {
  return accepted(async () => {
    const canister = canisterId.toUint8Array();
    const { tree } = await checked(bytes, ANY_ITEM, { rootKey, canister, age: "fresh", blsVerify });
    return (name) => lookupLeaf(tree, ["request_status", requestId, name]);
  });
}

/** What a certificate is checked against. */
interface Check {
  /** DER. */
  readonly rootKey: Uint8Array;
  /** Whose subnet it must be of. */
  readonly canister: Uint8Array;
  readonly age: "fresh" | "any";
  readonly blsVerify?: BlsVerify | undefined;
}

/** A state tree, as far as it is shown, and when it was signed. */
interface Checked {
  readonly tree: HashTree;
  readonly time: Date;
}

interface Certificate {
  readonly tree: HashTree;
  readonly signature: Buffer;
  readonly delegation: { readonly subnet: Buffer; readonly certificate: Buffer } | undefined;
}

async function checked(bytes: Uint8Array, limits: CertificateLimits, check: Check): Promise<Checked> {
  checkCertificate(bytes, limits);
  const certificate = decode(bytes);
  const { delegation } = certificate;
  const key = delegation === undefined ? check.rootKey : await delegatedKey(delegation, check);
  return signed(certificate, key, MAX_AGE_MINUTES, check);
}

/** The key of a subnet that the root key lets speak for the canister. */
async function delegatedKey(
  { subnet, certificate: bytes }: NonNullable<Certificate["delegation"]>,
  check: Check,
): Promise<Uint8Array> {
  const certificate = decode(bytes);
  if (certificate.delegation !== undefined) throw new FormatError("it has too many delegations");
  const { tree } = await signed(certificate, check.rootKey, MAX_DELEGATION_AGE_MINUTES, check);
  if (!isInRanges(tree, subnet, check.canister)) {
    throw new VerificationError("it has a delegation that does not include the canister");
  }
  const key = lookupLeaf(tree, ["subnet", subnet, "public_key"]);
  if (key === undefined) throw new FormatError("its delegation has no key of its subnet");
  return key;
}

async function signed(
  { tree, signature }: Certificate,
  key: Uint8Array,
  maxMinutes: number,
  { age, blsVerify = verifySignature }: Check,
): Promise<Checked> {
  const encoded = lookupLeaf(tree, ["time"]);
  if (encoded === undefined) throw new FormatError("it has no time");
  const time = new Date(Number(decodeTime(encoded) / 1_000_000n));
  if (age === "fresh") checkTime(time, maxMinutes);
  if (!(await isSigned(tree, signature, key, blsVerify))) {
    const suspicion = "another network answers, or somebody changes its answers";
    throw new VerificationError(`it does not verify by the network's root key: ${suspicion}`);
  }
  return { tree, time };
}

/** @throws UntimelyError */
/** @throws UntimelyError when a certificate's time is not of now */
export function checkTime(time: Date, maxMinutes = MAX_AGE_MINUTES): void {
  const minutes = (Date.now() - time.getTime()) / MINUTE_MS;
  if (minutes > maxMinutes)
    throw new UntimelyError(`it is signed more than ${maxMinutes} minutes in the past`);
  if (minutes < -MAX_AGE_MINUTES) {
    throw new UntimelyError(`it is signed more than ${MAX_AGE_MINUTES} minutes in the future`);
  }
}

/**
 * Keys, signatures and messages that belong together. A delegation comes with each certificate, the same for days: to check it once halves
 * what a certificate takes of the processor.
 */
const known = new LRUCache<string, true>({ max: 16 });

async function isSigned(
  tree: HashTree,
  signature: Uint8Array,
  key: Uint8Array,
  blsVerify: BlsVerify,
): Promise<boolean> {
  const at = DER_PREFIX.length;
  if (key.length !== at + KEY_BYTES || !DER_PREFIX.equals(key.subarray(0, at))) return false;
  const message = Buffer.concat([STATE_ROOT, rootHash(tree)]);
  const triple = Buffer.concat([key, signature, message]).toString("latin1");
  if (known.has(triple)) return true;
  try {
    // Copies: a view takes all that it is a view of along to another thread.
    const valid = await blsVerify(
      Uint8Array.from(key.subarray(at)),
      Uint8Array.from(signature),
      Uint8Array.from(message),
    );
    if (valid) known.set(triple, true);
    return valid;
  } catch {
    // What is no point of the curve is no signature.
    return false;
  }
}

/** Decodes what checkCertificate() has walked. @throws FormatError */
function decode(bytes: Uint8Array): Certificate {
  const reader = new CborReader(bytes);
  reader.selfDescribed();
  const fields = readFields(reader, {
    tree: () => readHashTree(reader),
    signature: () => reader.bytes(),
    delegation: () =>
      readFields(reader, { subnet_id: () => reader.bytes(), certificate: () => reader.bytes() }),
  });
  const { tree, signature, delegation } = fields;
  if (tree === undefined || signature === undefined) throw new FormatError("it is no certificate");
  if (delegation === undefined) return { tree, signature, delegation };
  const { subnet_id: subnet, certificate } = delegation;
  if (subnet === undefined || certificate === undefined) throw new FormatError("its delegation is none");
  return { tree, signature, delegation: { subnet, certificate } };
}

/** Reads a CBOR map by how each of its fields is read, those not known left out. @throws FormatError */
function readFields<T extends Record<string, () => unknown>>(
  reader: CborReader,
  readers: T,
): { readonly [name in keyof T]?: ReturnType<T[name]> } {
  const fields: Record<string, unknown> = {};
  for (let left = reader.map(); left > 0; left--) {
    const name = reader.text();
    if (Object.hasOwn(fields, name)) throw new FormatError(`it has two fields ${name}`);
    if (Object.hasOwn(readers, name)) fields[name] = readers[name]!();
    else reader.skip();
  }
  return fields as { readonly [name in keyof T]?: ReturnType<T[name]> };
}

/** @throws VerificationError */
async function accepted<T>(look: () => Promise<T>): Promise<T> {
  try {
    return await look();
  } catch (error) {
    const message = `the certificate is refused: ${messageOf(error)}`;
    if (!(error instanceof UntimelyError)) throw new VerificationError(message);
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
