/**
 * Encodes a manifest in pieces: one for the prefix and the number of entries, one for each entry, one for the number of chunks, one for
 * each chunk of the table. The publisher cuts the bytes into chunks between pieces, so that a change in one place does not change the other
 * chunks of the manifest.
 */
import {
  type ChunkReference,
  type Entry,
  type FileEntry,
  KIND_DIRECTORY,
  KIND_FILE,
  KIND_SYMLINK,
  MANIFEST_PREFIX,
  type Manifest,
} from "./manifest.ts";

/** The pieces of an encoded manifest, in order. Together they are its bytes. */
export function encodeManifest(manifest: Manifest): Buffer<ArrayBuffer>[] {
  const pieces = [Buffer.concat([MANIFEST_PREFIX, leb128(manifest.entries.length)])];
  let named = 0;
  for (const entry of manifest.entries) {
    const parts = [nat64(entry.modified), kind(entry, named), text(entry.path)];
    pieces.push(Buffer.concat(parts));
    if (entry.kind === "file") named = namedAfter(entry, named);
  }
  pieces.push(leb128(manifest.chunks.length));
  for (const chunk of manifest.chunks) pieces.push(encodeChunk(chunk));
  return pieces;
}

/** An entry's `kind`. @param named how many chunks of the table the entries before it have named */
function kind(entry: Entry, named: number): Buffer<ArrayBuffer> {
  switch (entry.kind) {
    case "directory":
      return Buffer.from([KIND_DIRECTORY]);
    case "symlink":
      return Buffer.concat([Buffer.from([KIND_SYMLINK]), text(entry.target)]);
    case "file":
      return Buffer.concat([
        Buffer.from([KIND_FILE]),
        blob(entry.sha256),
        Buffer.from([entry.executable ? 1 : 0]),
        nat64(BigInt(entry.size)),
        extents(entry, named),
      ]);
  }
}

function extents(entry: FileEntry, named: number): Buffer<ArrayBuffer> {
  const parts = [leb128(entry.extents.length)];
  for (const { chunk, offset, length } of entry.extents) {
    const triple = Buffer.alloc(12);
    // 0: the next chunk of the table that no extent has named yet; n: the n-th last of those named so far. So an entry's
    // bytes do not change when chunks are added or removed far before it.
    triple.writeUInt32LE(chunk === named ? 0 : named - chunk, 0);
    triple.writeUInt32LE(offset, 4);
    triple.writeUInt32LE(length, 8);
    if (chunk === named) named += 1;
    parts.push(triple);
  }
  return Buffer.concat(parts);
}

function namedAfter(entry: FileEntry, named: number): number {
  for (const { chunk } of entry.extents) if (chunk === named) named += 1;
  return named;
}

function encodeChunk({ sha256, size }: ChunkReference): Buffer<ArrayBuffer> {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(size);
  return Buffer.concat([blob(sha256), bytes]);
}

/** A number as Candid writes lengths: unsigned LEB128. */
export function leb128(value: number): Buffer<ArrayBuffer> {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value & 0x7f) | 0x80);
  return Buffer.from([...bytes, value]);
}

function nat64(value: bigint): Buffer<ArrayBuffer> {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

function blob(bytes: Uint8Array): Buffer<ArrayBuffer> {
  return Buffer.concat([leb128(bytes.length), bytes]);
}

function text(value: string): Buffer<ArrayBuffer> {
  return blob(Buffer.from(value));
}
