/**
 * A release's header (docs/PROTOCOL.md, "Header"): its number, its parent, its manifest. The subnet certifies its
 * SHA-256.
 *
 *     record { number : nat64; parent : opt blob; manifest : record { sha256 : blob; size : nat64; chunks : vec blob };
 *              published_at : nat64; publisher : principal; note : text;
 *              totals : record { files, directories, symlinks, bytes, chunks, chunk_bytes : nat64 } }
 */
import { createHash } from "node:crypto";
import { FormatError } from "../errors.ts";
import { CandidReader } from "./candid-reader.ts";
import { MAX_MANIFEST_BYTES, MAX_MANIFEST_PIECES, MAX_NOTE_BYTES } from "./limits.ts";

/** Magic and version, then `DIDL`, the type table as Motoko writes it, and the argument list, byte for byte. */
export const HEADER_PREFIX: Uint8Array = Buffer.concat([
  Buffer.from("ICFSHDR\x01", "latin1"),
  Buffer.from(
    "4449444c066c07bcf7d0c60468f2afa8c80471a4e0b8b40678aff0dbbe0905c98dea8b0a78aff7a7810d01aa8af8eb0e046c03e7c8ea" +
      "e70103c1c1cee20478e6b2aba50c026d036d7b6e036c06f7bce30478d9cbf859788bb8b1890678d2b9da990678eb90e0ec0b78e6b2aba50c780100",
    "hex",
  ),
]);

/** Bytes of a hash as an element of a vector: its length, and 32 bytes. */
const HASH_BYTES = 33;

export interface Totals {
  readonly files: number;
  readonly directories: number;
  readonly symlinks: number;
  readonly bytes: number;
  readonly chunks: number;
  /** Bytes of the chunks; less than `bytes` when files share some. */
  readonly chunkBytes: number;
}

export interface Header {
  /** From 1. */
  readonly number: number;
  /** SHA-256 of the parent's header; none for release 1. */
  readonly parent: Buffer | undefined;
  readonly manifest: { readonly sha256: Buffer; readonly size: number; readonly chunks: readonly Buffer[] };
  readonly publishedAt: Date;
  /** A principal's bytes. */
  readonly publisher: Buffer;
  readonly note: string;
  readonly totals: Totals;
}

/** SHA-256 of an encoded header. It identifies a release. */
export function headerHash(header: Uint8Array): Buffer {
  return createHash("sha256").update(header).digest();
}

/** Decodes a header, and checks everything in it that can be checked without others. @throws FormatError */
export function decodeHeader(bytes: Uint8Array): Header {
  const reader = new CandidReader(bytes, 0);
  reader.expect(HEADER_PREFIX, "an icfs release header of version 1");
  // Candid's order of fields is by the hash of their names.
  const publisher = reader.principal();
  const note = reader.text();
  const publishedAt = new Date(Number(reader.nat64() / 1_000_000n));
  const totals = readTotals(reader);
  const number = reader.exactNat64();
  const manifest = readManifestReference(reader);
  const parent = reader.opt(() => reader.hash());
  reader.end();
  if (Buffer.byteLength(note) > MAX_NOTE_BYTES)
    throw new FormatError(`the note is longer than ${MAX_NOTE_BYTES} bytes`);
  if (number < 1 || (number === 1) !== (parent === undefined)) {
    throw new FormatError(
      `a release numbered ${number} ${parent === undefined ? "without" : "with"} a parent`,
    );
  }
  return { number, parent, manifest, publishedAt, publisher, note, totals };
}

function readTotals(reader: CandidReader): Totals {
  const [files, chunkBytes, directories, symlinks, bytes, chunks] = Array.from({ length: 6 }, () =>
    reader.exactNat64(),
  ) as [number, number, number, number, number, number];
  return { files, directories, symlinks, bytes, chunks, chunkBytes };
}

function readManifestReference(reader: CandidReader): Header["manifest"] {
  const sha256 = reader.hash();
  const size = reader.exactNat64();
  const count = reader.vecLength(HASH_BYTES);
  if (size > MAX_MANIFEST_BYTES || count > MAX_MANIFEST_PIECES) {
    throw new FormatError(`a manifest of ${size} bytes in ${count} pieces is over the limits`);
  }
  return { sha256, size, chunks: Array.from({ length: count }, () => reader.hash()) };
}
