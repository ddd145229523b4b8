/**
 * The IC's standard asset canister, as far as reading its assets needs it.
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

/** Which bytes are meant: those of an asset's encoding that hash to this, and no others. */
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
export const NOTHING: Uint8Array = IDL.encode([IDL.Record({})], [{}]);

/** Assets from `start` on, as many as the canister likes to give; older ones give all, whatever they are asked for. */
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
    // A copy: the view would keep all of the reply.
    sha256: sha256 && Buffer.from(sha256),
    length: record.size("length"),
    modified: BigInt.asUintN(64, modified < 0n ? 0n : modified),
  };
}

/** The first of the pieces in which the content was uploaded, and how many bytes all of them have. */
export async function getFirst(
  call: Call,
  { key, encoding }: Content,
): Promise<{ content: Buffer; total: number }> {
  const arg = IDL.encode(GET, [{ key, accept_encodings: [encoding] }]);
  const reply = decodeRecord(await unlessChanged(key, () => call("get", arg)));
  if (reply.text("content_encoding") !== encoding) throw changed(key);
  return { content: reply.blob("content"), total: reply.size("total_length") };
}

/** Another of the pieces; they may be of any sizes. */
export async function getChunk(call: Call, content: Content, index: number): Promise<Buffer> {
  const { key, encoding: content_encoding, sha256 } = content;
  const arg = IDL.encode(GET_CHUNK, [{ key, content_encoding, index, sha256: [Uint8Array.from(sha256)] }]);
  return decodeRecord(await unlessChanged(key, () => call("get_chunk", arg))).blob("content");
}

export async function certifiedTree(call: Call): Promise<{ certificate: Buffer; tree: Buffer }> {
  const reply = decodeRecord(await call("certified_tree", NOTHING));
  return { certificate: reply.blob("certificate"), tree: reply.blob("tree") };
}

/** Whether what was asked for is more than a reply can be, or than one query can put together. */
export function isReplyTooLarge(error: unknown): boolean {
  if (!(error instanceof RejectError)) return false;
  return (
    error.errorCode === ERROR_CODES.contractViolation || error.errorCode === ERROR_CODES.instructionLimit
  );
}

/** What it traps with when an asset is not what it was when it was listed: there is nothing but these words. */
const SHORTER = "chunk index out of bounds";
const CHANGED = ["asset not found", "no such encoding", "sha256 mismatch"];

/** @throws VerificationError, ChangedError when the asset is not what it was when it was listed; what `ask` throws */
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
