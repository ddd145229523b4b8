/**
 * The part of the IC's standard asset canister that is needed to read its assets.
 *
 *     list           : (record { start : opt nat; length : opt nat }) -> (vec record { key : text; encodings : vec record {
 *                        content_encoding : text; sha256 : opt blob; length : nat; modified : int }; ... }) query;
 *     get            : (record { key : text; accept_encodings : vec text }) -> (record { content : blob;
 *                        content_encoding : text; total_length : nat; ... }) query;
 *     get_chunk      : (record { key : text; content_encoding : text; index : nat; sha256 : opt blob }) ->
 *                        (record { content : blob }) query;
 *     certified_tree : (record {}) -> (record { certificate : blob; tree : blob }) query;
 */
import { IDL } from "@icp-sdk/core/candid";
import { FormatError } from "../../errors.ts";
import { ERROR_CODES, RejectError } from "../../ic/call-errors.ts";
import { type CandidRecord, decodeRecord, decodingRecords } from "../../ic/candid.ts";
import type { Call } from "../../ic/canister-calls.ts";
import { VerificationError } from "../../ic/certificate/certificate.ts";
import { inSteps } from "../../steps.ts";
import { ChangedError } from "../source.ts";

/** An asset's content in one encoding. */
export interface Encoding {
  /** As in HTTP's Content-Encoding: identity, gzip, ... */
  readonly name: string;
  readonly sha256: Buffer | undefined;
  /** Bytes, encoded. */
  readonly length: number;
  /** Nanoseconds since 1970. */
  readonly modified: bigint;
}

export interface ListedAsset {
  readonly key: string;
  readonly encodings: readonly Encoding[];
}

/** Identifies content: an asset's encoding with this hash. */
export interface Content {
  readonly key: string;
  readonly encoding: string;
  readonly sha256: Buffer;
}

const LIST = [IDL.Record({ start: IDL.Opt(IDL.Nat), length: IDL.Opt(IDL.Nat) })];
const GET = [IDL.Record({ key: IDL.Text, accept_encodings: IDL.Vec(IDL.Text) })];
const GET_CHUNK = [
  IDL.Record({
    key: IDL.Text,
    content_encoding: IDL.Text,
    index: IDL.Nat,
    sha256: IDL.Opt(IDL.Vec(IDL.Nat8)),
  }),
];
/** The Candid of an empty record, the argument of certified_tree. */
export const NOTHING: Uint8Array = IDL.encode([IDL.Record({})], [{}]);

/** Assets from `start` on, as many as the canister chooses to return; older canisters always return all. */
export async function listPage(call: Call, start: number): Promise<ListedAsset[]> {
  const page = { start: [start], length: [] };
  const records = await inSteps(decodingRecords(await call("list", IDL.encode(LIST, [page]))));
  return records.map((record) => ({
    key: record.text("key"),
    encodings: record.records("encodings").map(encodingOf),
  }));
}

function encodingOf(record: CandidRecord): Encoding {
  const sha256 = record.get("sha256");
  const modified = record.get("modified");
  if (typeof modified !== "bigint" || !(sha256 === undefined || Buffer.isBuffer(sha256))) {
    throw new FormatError("an asset is listed in another form");
  }
  return {
    name: record.text("content_encoding"),
    // A copy: a view would keep the whole reply in memory.
    sha256: sha256 && Buffer.from(sha256),
    length: record.size("length"),
    modified: BigInt.asUintN(64, modified < 0n ? 0n : modified),
  };
}

/** The first of the pieces in which the content was uploaded, and the bytes of all pieces. @throws as getChunk() */
export async function getFirst(
  call: Call,
  { key, encoding }: Content,
): Promise<{ content: Buffer; total: number }> {
  const arg = IDL.encode(GET, [{ key, accept_encodings: [encoding] }]);
  const reply = decodeRecord(await unlessChanged(key, () => call("get", arg)));
  if (reply.text("content_encoding") !== encoding) throw changed(key);
  return { content: reply.blob("content"), total: reply.size("total_length") };
}

/**
 * Another of the pieces, each of which may have any size.
 *
 * @param index from 0
 * @throws ChangedError when the asset has changed since it was listed; VerificationError when there is no such piece; FormatError; what
 *   `call` throws
 */
export async function getChunk(call: Call, content: Content, index: number): Promise<Buffer> {
  const { key, encoding: content_encoding, sha256 } = content;
  const arg = IDL.encode(GET_CHUNK, [{ key, content_encoding, index, sha256: [Uint8Array.from(sha256)] }]);
  return decodeRecord(await unlessChanged(key, () => call("get_chunk", arg))).blob("content");
}

/** The canister's certificate, and the hash tree that it certifies. Neither is verified. @throws FormatError; what `call` throws */
export async function certifiedTree(call: Call): Promise<{ certificate: Buffer; tree: Buffer }> {
  const reply = decodeRecord(await call("certified_tree", NOTHING));
  return { certificate: reply.blob("certificate"), tree: reply.blob("tree") };
}

/** Whether an error means that the requested reply is too large, or takes more instructions than a query may. */
export function isReplyTooLarge(error: unknown): boolean {
  if (!(error instanceof RejectError)) return false;
  return (
    error.errorCode === ERROR_CODES.contractViolation || error.errorCode === ERROR_CODES.instructionLimit
  );
}

/** The canister's text when it traps because there is no such piece. It has no codes for traps. */
const SHORTER = "chunk index out of bounds";
/** Its texts when the asset has changed since it was listed. */
const CHANGED = ["asset not found", "no such encoding", "sha256 mismatch"];

/** What `ask` returns. @throws ChangedError when the asset has changed since it was listed; VerificationError when it is shorter */
async function unlessChanged<T>(key: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof RejectError)) throw error;
    const { reason } = error;
    if (reason.includes(SHORTER)) {
      throw new VerificationError(`asset ${key} has fewer bytes than are listed`);
    }
    if (!CHANGED.some((words) => reason.includes(words))) throw error;
    throw changed(key);
  }
}

function changed(key: string): ChangedError {
  return new ChangedError(`asset ${key} has changed on the canister; the next look at it takes the new one`);
}
