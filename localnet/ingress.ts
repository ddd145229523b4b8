/**
 * Clients' requests: their CBOR envelope, its signature, and the IC's rules for both (interface
 * specification, "Authentication").
 */
import { createPublicKey, hash, type KeyObject, verify } from "node:crypto";
import * as cbor from "@dfinity/cbor";
import { Principal } from "@icp-sdk/core/principal";
import { domain } from "./hash-tree.ts";
import { leb128 } from "./wasm-reader.ts";

/** Answers the request with this HTTP status and text. */
export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface CallContent {
  request_type: "call" | "query";
  canister_id: Uint8Array;
  method_name: string;
  arg: Uint8Array;
}

export interface ReadStateContent {
  request_type: "read_state";
  paths: Uint8Array[][];
}

export type Request = (CallContent | ReadStateContent) & {
  sender: Uint8Array;
  /** Nanoseconds since 1970. */
  ingress_expiry: bigint;
  /** The hash of the content, which identifies the request. */
  id: Uint8Array;
  /** Bytes of the envelope. */
  size: number;
  /** The only canisters a delegation allows; undefined: any. */
  targets: Uint8Array[] | undefined;
};

interface Delegation {
  delegation: { pubkey: Uint8Array; expiration: bigint | number; targets?: Uint8Array[] };
  signature: Uint8Array;
}

const REQUEST_DOMAIN = domain("ic-request");
const DELEGATION_DOMAIN = domain("ic-request-auth-delegation");
const ANONYMOUS = Uint8Array.of(4);
const MINUTE_NS = 60_000_000_000n;
/** How far ahead a request may expire: five minutes, and one more for clock differences. */
const MAX_EXPIRY_NS = 6n * MINUTE_NS;
/** The IC's limits on delegation chains and their targets. */
const MAX_DELEGATIONS = 20;
const MAX_TARGETS = 1000;
const MAX_PATHS = 1000;

/** DER public keys that were parsed before: a client uses the same key for all its requests. */
const knownKeys = new Map<string, KeyObject>();
const MAX_KNOWN_KEYS = 1000;

/**
 * Reads a request and checks its signature and expiry.
 *
 * @param kind the kind of request according to the URL
 * @param now nanoseconds since 1970
 * @throws HttpError 400, with the IC's texts where clients look at them
 */
export function readRequest(body: Uint8Array, kind: Request["request_type"], now: bigint): Request {
  const envelope = record(decode(body), "envelope");
  const content = record(envelope.content, "content");
  if (content.request_type !== kind) throw malformed(`request_type is not "${kind}"`);
  const sender = bytes(content.sender, "sender");
  const expiry = content.ingress_expiry;
  if (!isNumber(expiry)) throw malformed("ingress_expiry is not a number");
  const request = { sender, ingress_expiry: BigInt(expiry), id: hashOfMap(content), size: body.length };
  const anonymous = Buffer.compare(sender, ANONYMOUS) === 0;
  // The specification allows anonymous reads any expiry.
  if (kind === "call" || !anonymous) checkExpiry(request.ingress_expiry, now);
  const targets = anonymous ? checkUnsigned(envelope) : checkSignature(envelope, request, now);
  if (kind === "read_state") {
    if (!Array.isArray(content.paths) || content.paths.length > MAX_PATHS) throw malformed("paths");
    const paths = content.paths.map((path) => {
      if (!Array.isArray(path)) throw malformed("paths");
      return path.map((label) => bytes(label, "paths"));
    });
    return { ...request, targets, request_type: kind, paths };
  }
  const canister_id = bytes(content.canister_id, "canister_id");
  if (typeof content.method_name !== "string") throw malformed("method_name is not text");
  if (targets !== undefined && !targets.some((target) => Buffer.compare(target, canister_id) === 0)) {
    throw new HttpError(
      400,
      `Canister ${Principal.fromUint8Array(canister_id)} is not one of the delegation targets.`,
    );
  }
  return {
    ...request,
    targets,
    request_type: kind,
    canister_id,
    method_name: content.method_name,
    arg: bytes(content.arg, "arg"),
  };
}

function decode(body: Uint8Array): unknown {
  try {
    // A plain Uint8Array: the decoder takes slices, which would be views of the pool with a Node buffer.
    return cbor.decode(new Uint8Array(body.buffer, body.byteOffset, body.length));
  } catch (error) {
    throw malformed((error as Error).message);
  }
}

function checkExpiry(expiry: bigint, now: bigint): void {
  const latest = now + MAX_EXPIRY_NS;
  if (expiry >= now && expiry <= latest) return;
  const show = (time: bigint) => new Date(Number(time / 1_000_000n)).toISOString();
  const range = `Minimum allowed expiry: ${show(now)}, Maximum allowed expiry: ${show(latest)}`;
  const message = `Specified ingress_expiry not within expected range: ${range}, Provided expiry: ${expiry}`;
  throw new HttpError(400, `Invalid request expiry: ${message}`);
}

function checkUnsigned(envelope: Record<string, unknown>): undefined {
  if (envelope.sender_pubkey === undefined && envelope.sender_sig === undefined) return;
  throw new HttpError(400, "Unexpected signature: an anonymous request must not be signed.");
}

/** @returns the canisters that the delegations allow */
function checkSignature(
  envelope: Record<string, unknown>,
  request: { sender: Uint8Array; id: Uint8Array },
  now: bigint,
): Uint8Array[] | undefined {
  if (envelope.sender_pubkey === undefined || envelope.sender_sig === undefined) {
    throw new HttpError(400, "Missing signature from user: only anonymous requests are unsigned.");
  }
  let key = bytes(envelope.sender_pubkey, "sender_pubkey");
  const owner = Principal.selfAuthenticating(key).toUint8Array();
  if (Buffer.compare(owner, request.sender) !== 0) {
    throw new HttpError(400, "The user ID does not match the public key.");
  }
  let targets: Uint8Array[] | undefined;
  const chain = envelope.sender_delegation ?? [];
  if (!Array.isArray(chain) || chain.length > MAX_DELEGATIONS) throw malformed("sender_delegation");
  for (const one of chain) {
    const { delegation, signature } = record(one, "sender_delegation") as unknown as Delegation;
    if (!isNumber(record(delegation, "delegation").expiration)) throw malformed("expiration is not a number");
    const signed = Buffer.concat([
      DELEGATION_DOMAIN,
      hashOfMap(delegation as unknown as Record<string, unknown>),
    ]);
    checkSigned(key, signed, bytes(signature, "signature"), "Invalid delegation");
    if (BigInt(delegation.expiration) < now) throw new HttpError(400, "Invalid delegation: it has expired.");
    if (delegation.targets !== undefined) {
      const allowed = delegation.targets;
      if (!Array.isArray(allowed) || allowed.length > MAX_TARGETS) throw malformed("targets");
      targets = (targets ?? allowed).filter((id) => allowed.some((other) => Buffer.compare(id, other) === 0));
    }
    key = bytes(delegation.pubkey, "pubkey");
  }
  const signed = Buffer.concat([REQUEST_DOMAIN, request.id]);
  checkSigned(key, signed, bytes(envelope.sender_sig, "sender_sig"), "Invalid signature");
  return targets;
}

function checkSigned(derKey: Uint8Array, message: Uint8Array, signature: Uint8Array, problem: string): void {
  const key = publicKey(derKey);
  const valid =
    key.asymmetricKeyType === "ed25519"
      ? verify(null, message, key, signature)
      : verify("sha256", message, { key, dsaEncoding: "ieee-p1363" }, signature);
  if (!valid) throw new HttpError(400, `${problem}: it was not made with the given key.`);
}

function publicKey(der: Uint8Array): KeyObject {
  const name = Buffer.from(der).toString("hex");
  const known = knownKeys.get(name);
  if (known !== undefined) return known;
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
  } catch {
    throw new HttpError(
      400,
      "Invalid public key: the local network knows Ed25519, secp256k1 and P-256 keys only.",
    );
  }
  const curve = key.asymmetricKeyDetails?.namedCurve;
  const isKnownCurve = curve === "secp256k1" || curve === "prime256v1";
  if (key.asymmetricKeyType !== "ed25519" && !isKnownCurve)
    throw new HttpError(400, "Invalid public key: unknown kind.");
  if (knownKeys.size >= MAX_KNOWN_KEYS) knownKeys.clear();
  knownKeys.set(name, key);
  return key;
}

/** The representation-independent hash of a map (interface specification, "Request ids"). */
export function hashOfMap(map: Record<string, unknown>): Uint8Array {
  const pairs = Object.entries(map)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => Buffer.concat([sha256(Buffer.from(key)), hashOfValue(value)]));
  return new Uint8Array(sha256(Buffer.concat(pairs.sort(Buffer.compare))));
}

function hashOfValue(value: unknown): Buffer {
  if (typeof value === "string") return sha256(Buffer.from(value));
  if (typeof value === "number" || typeof value === "bigint") {
    if (value < 0) throw malformed("a negative number");
    return sha256(leb128(value));
  }
  if (value instanceof Uint8Array) return sha256(value);
  if (Array.isArray(value)) return sha256(Buffer.concat(value.map(hashOfValue)));
  return Buffer.from(hashOfMap(record(value, "value")));
}

function sha256(data: Uint8Array): Buffer {
  return hash("sha256", data, "buffer");
}

/** The decoder knows whole numbers only. */
function isNumber(value: unknown): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

function record(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw malformed(`${name} is not a map`);
}

function bytes(value: unknown, name: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw malformed(`${name} is not a byte string`);
}

function malformed(reason: string): HttpError {
  return new HttpError(400, `Could not parse the request: ${reason}`);
}
