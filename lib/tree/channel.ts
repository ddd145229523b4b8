/**
 * A record of a channel (docs/PROTOCOL.md, "Channels"): which release a name stands for, since when, and by whom. Its SHA-256 is what the subnet
 * certifies.
 *
 *     record { canister : principal; name : text; serial : nat64; number : nat64; header : blob; set_by : principal; at : nat64;
 *              note : text; before : opt blob }
 */
import { createHash } from "node:crypto";
import { FormatError } from "../errors.ts";
import { CandidReader } from "./candid-reader.ts";
import { MAX_CHANNEL_NAME_CHARS, MAX_NOTE_BYTES } from "./limits.ts";

/** As HEADER_PREFIX of header.ts. */
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
  /** From 1, each one more than that of the record before. */
  readonly serial: number;
  /** What the channel stands for; undefined: it has been deleted. */
  readonly release: { readonly number: number; readonly header: Buffer } | undefined;
  /** A principal's bytes. */
  readonly setBy: Buffer;
  readonly at: Date;
  readonly note: string;
  /** SHA-256 of the record before; none in the first. */
  readonly before: Buffer | undefined;
}

/** A channel's name: what begins with a letter or a digit, and is no number, which would be a release's. */
export function isChannelName(text: string): boolean {
  return text.length <= MAX_CHANNEL_NAME_CHARS && /^[a-z0-9][a-z0-9._-]*$/.test(text) && !/^\d+$/.test(text);
}

export function recordHash(record: Uint8Array): Buffer {
  return createHash("sha256").update(record).digest();
}

/** @throws FormatError */
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
  if (!isChannelName(name)) throw new FormatError("a record of a channel whose name cannot be");
  if (Buffer.byteLength(note) > MAX_NOTE_BYTES)
    throw new FormatError(`the note is longer than ${MAX_NOTE_BYTES} bytes`);
  if (serial < 1 || (serial === 1) !== (before === undefined)) {
    throw new FormatError(`record ${serial} ${before === undefined ? "without" : "with"} one before it`);
  }
  if (header.length !== (number === 0 ? 0 : 32)) throw new FormatError("a record without a whole hash");
  const release = number === 0 ? undefined : { number, header };
  return { canister, name, serial, release, setBy, at, note, before };
}
