/**
 * A record of a channel (docs/PROTOCOL.md, "Channels"): the release that a name points to, since when, and who set it. The subnet certifies
 * its SHA-256.
 *
 *     record { canister : principal; name : text; serial : nat64; number : nat64; header : blob; set_by : principal; at : nat64;
 *              note : text; before : opt blob }
 */
import { createHash } from "node:crypto";
import { FormatError } from "../errors.ts";
import { CandidReader } from "./candid-reader.ts";
import { MAX_CHANNEL_NAME_CHARS, MAX_NOTE_BYTES } from "./limits.ts";

/** Magic and version, then the beginning of the Candid, byte for byte, as HEADER_PREFIX of header.ts has them. */
export const RECORD_PREFIX: Uint8Array = Buffer.concat([
  Buffer.from("ICFSCHN\x01", "latin1"),
  Buffer.from(
    "4449444c036c09f3a90178cbe4fdc70471f2afa8c80471f4d3b5f106789483e1fb0668ffa8c9d10901a7c4d2e60968c98dea8b0a788d9380e8" +
      "0f026e026d7b0100",
    "hex",
  ),
]);

export interface ChannelRecord {
  /** A principal's bytes. */
  readonly canister: Buffer;
  readonly name: string;
  /** From 1, each one more than the previous record's. */
  readonly serial: number;
  /** What the channel points to; undefined: it has been deleted. */
  readonly release: { readonly number: number; readonly header: Buffer } | undefined;
  /** A principal's bytes. */
  readonly setBy: Buffer;
  readonly at: Date;
  readonly note: string;
  /** SHA-256 of the previous record; none in the first. */
  readonly before: Buffer | undefined;
}

/** Whether a text is a channel's name: it begins with a letter or a digit, and is not a number, which would name a release. */
export function isChannelName(text: string): boolean {
  return text.length <= MAX_CHANNEL_NAME_CHARS && /^[a-z0-9][a-z0-9._-]*$/.test(text) && !/^\d+$/.test(text);
}

/** SHA-256 of an encoded record: what the subnet certifies, and what the next record has in `before`. */
export function recordHash(record: Uint8Array): Buffer {
  return createHash("sha256").update(record).digest();
}

/** Decodes a record, and checks everything in it that can be checked without others. @throws FormatError */
export function decodeRecord(bytes: Uint8Array): ChannelRecord {
  const reader = new CandidReader(bytes, 0);
  reader.expect(RECORD_PREFIX, "a record of a channel, of version 1,");
  // Candid's order of fields is by the hash of their names.
  const at = new Date(Number(reader.nat64() / 1_000_000n));
  const name = reader.text();
  const note = reader.text();
  const serial = reader.exactNat64();
  const setBy = reader.principal();
  const before = reader.opt(() => reader.hash());
  const canister = reader.principal();
  const number = reader.exactNat64();
  const header = reader.blob();
  reader.end();
  if (!isChannelName(name)) throw new FormatError("a record of a channel with an impossible name");
  if (Buffer.byteLength(note) > MAX_NOTE_BYTES)
    throw new FormatError(`the note is longer than ${MAX_NOTE_BYTES} bytes`);
  if (serial < 1 || (serial === 1) !== (before === undefined)) {
    throw new FormatError(`record ${serial} ${before === undefined ? "without" : "with"} one before it`);
  }
  if (header.length !== (number === 0 ? 0 : 32)) throw new FormatError("a record without a whole hash");
  const release = number === 0 ? undefined : { number, header };
  return { canister, name, serial, release, setBy, at, note, before };
}
