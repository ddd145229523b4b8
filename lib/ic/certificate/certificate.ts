/**
 * What a subnet certifies about a canister (IC interface specification, "Certificate"): whether a subnet has signed it, whether
 * the root key has delegated the canister to that subnet, and when it was signed.
 */
import type { Principal } from "@icp-sdk/core/principal";
import { FormatError, messageOf } from "../../errors.ts";
import { verifySignature } from "./bls.ts";
import { isInRanges } from "./canister-ranges.ts";
import { CborReader } from "./cbor-reader.ts";
import { ANY_ITEM, type CertificateLimits, checkCertificate, ONE_ITEM } from "./certificate-form.ts";
import { type HashTree, lookupLeaf, readHashTree, rootHash } from "./hash-tree.ts";
import { type BlsVerify, isValid } from "./valid-signatures.ts";

export interface CertifiedData {
  readonly data: Uint8Array;
  /** When the subnet certified it. */
  readonly time: Date;
}

/** The certificate does not prove what it should. */
export class VerificationError extends Error {
  override readonly name = "VerificationError";
}

/** A certificate's time differs from this host's clock: the clock is wrong, or somebody replays an old certificate. */
export class UntimelyError extends VerificationError {}

const MINUTE_MS = 60_000;
/** How old a certificate may be, and how far ahead of this host's clock. */
const MAX_AGE_MINUTES = 5;
/** A subnet's delegation is renewed now and then, so it may be 30 days old. */
const MAX_DELEGATION_AGE_MINUTES = 30 * 24 * 60;
/** DER of a BLS12-381 public key in G2, up to the key itself. */
const DER_PREFIX = Buffer.from(
  "308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100",
  "hex",
);
const KEY_BYTES = 96;
/** The domain separator of a signature over a state tree, after its length. */
const STATE_ROOT = Buffer.from("\x0dic-state-root");

/** Whether an error means that an answer arrived and was wrong. */
export function isWrong(error: unknown): boolean {
  return error instanceof VerificationError || error instanceof FormatError;
}

/**
 * Verifies a certificate: its BLS signature, its delegation, the canister's range, and that its time is within 5 minutes of this host's
 * clock (unless any age is accepted, as for a certificate that this host has verified before). Returns what it says about the canister: the
 * data that the canister certifies, or another item.
 *
 * @param bytes the certificate in CBOR
 * @param rootKey the network's, in DER
 * @throws VerificationError; UntimelyError when the time is wrong, which is found before the signature is checked
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
 * A public section of the canister's Wasm, such as `candid:service`, by a fresh certificate; undefined when the certificate does not show
 * it, which proves nothing.
 *
 * @throws as verifyCertificate()
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
 * What a fresh certificate says about a call (IC interface specification, "Request status").
 *
 * @param canisterId the canister through whose subnet the call was made
 * @throws as verifyCertificate()
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
  /** In DER. */
  readonly rootKey: Uint8Array;
  /** The canister whose subnet must have signed. */
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

/** The key of the subnet to which the root key has delegated the canister. */
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

/** Checks that a certificate's time is at most `maxMinutes` ago, and at most 5 minutes ahead. @throws UntimelyError */
export function checkTime(time: Date, maxMinutes = MAX_AGE_MINUTES): void {
  const minutes = (Date.now() - time.getTime()) / MINUTE_MS;
  if (minutes > maxMinutes)
    throw new UntimelyError(`it is signed more than ${maxMinutes} minutes in the past`);
  if (minutes < -MAX_AGE_MINUTES) {
    throw new UntimelyError(`it is signed more than ${MAX_AGE_MINUTES} minutes in the future`);
  }
}

async function isSigned(
  tree: HashTree,
  signature: Uint8Array,
  key: Uint8Array,
  blsVerify: BlsVerify,
): Promise<boolean> {
  const at = DER_PREFIX.length;
  if (key.length !== at + KEY_BYTES || !DER_PREFIX.equals(key.subarray(0, at))) return false;
  const message = Buffer.concat([STATE_ROOT, rootHash(tree)]);
  try {
    // Copies: a view would take its whole buffer along to another thread.
    return await isValid(
      blsVerify,
      Uint8Array.from(key.subarray(at)),
      Uint8Array.from(signature),
      Uint8Array.from(message),
    );
  } catch {
    // The signature or the key is not a point of its group.
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
  if (tree === undefined || signature === undefined) throw new FormatError("it is not a certificate");
  if (delegation === undefined) return { tree, signature, delegation };
  const { subnet_id: subnet, certificate } = delegation;
  if (subnet === undefined || certificate === undefined)
    throw new FormatError("its delegation has no subnet, or no certificate");
  return { tree, signature, delegation: { subnet, certificate } };
}

/** Reads a CBOR map with a reader for each field; unknown fields are skipped. @throws FormatError */
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

/** What `look` returns. @throws VerificationError in place of any error; UntimelyError keeps its class, and gets advice about the clock */
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
  if (bytes.length > 10) throw new FormatError("its time is not a number");
  return bytes.reduceRight((value, byte) => (value << 7n) | BigInt(byte & 0x7f), 0n);
}
