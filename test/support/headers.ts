/** Encodes headers of releases as the canister does, valid and invalid ones, for tests of their readers. */
import { HEADER_PREFIX, type Header, headerHash, type Totals } from "../../lib/tree/header.ts";

export interface HeaderFields {
  readonly number?: number;
  readonly parent?: Uint8Array | undefined;
  readonly note?: string;
  readonly publisher?: Uint8Array;
  readonly totals?: Partial<Totals>;
  readonly manifest?: Header["manifest"];
}

const NO_MANIFEST = { sha256: Buffer.alloc(32), size: 0, chunks: [] };

/** A header; by default that of release 1, with an empty tree. */
export function encodeHeader(fields: HeaderFields): Buffer {
  const { number = 1, parent, note = "", publisher = Buffer.from([4]), manifest = NO_MANIFEST } = fields;
  const {
    files = 0,
    chunkBytes = 0,
    directories = 0,
    symlinks = 0,
    bytes = 0,
    chunks = 0,
  } = fields.totals ?? {};
  return Buffer.concat([
    HEADER_PREFIX,
    Buffer.from([1]),
    blob(publisher),
    blob(Buffer.from(note)),
    nat64(1_000_000),
    ...[files, chunkBytes, directories, symlinks, bytes, chunks, number].map(nat64),
    blob(manifest.sha256),
    nat64(manifest.size),
    leb128(manifest.chunks.length),
    ...manifest.chunks.map(blob),
    ...(parent === undefined ? [Buffer.from([0])] : [Buffer.from([1]), blob(parent)]),
  ]);
}

/** The headers of releases 1 to `length`, in this order. */
export function encodeChain(length: number, note = ""): Buffer[] {
  const headers: Buffer[] = [];
  for (let number = 1; number <= length; number++) {
    const below = headers.at(-1);
    headers.push(encodeHeader({ number, parent: below === undefined ? undefined : headerHash(below), note }));
  }
  return headers;
}

function leb128(value: number): Buffer {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value & 0x7f) | 0x80);
  return Buffer.from([...bytes, value]);
}

function blob(bytes: Uint8Array): Buffer {
  return Buffer.concat([leb128(bytes.length), bytes]);
}

function nat64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
