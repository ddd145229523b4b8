/** Headers of releases, encoded as the canister does: for tests of who reads them. */
import { HEADER_PREFIX, headerHash } from "../../lib/tree/header.ts";

export interface HeaderFields {
  readonly number: number;
  readonly parent: Uint8Array | undefined;
  readonly note?: string;
}

/** A header of an empty tree. */
export function encodeHeader({ number, parent, note = "" }: HeaderFields): Buffer {
  const nat64 = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
  };
  // Lengths below 128 only.
  const blob = (bytes: Uint8Array) => Buffer.concat([Buffer.from([bytes.length]), bytes]);
  return Buffer.concat([
    HEADER_PREFIX,
    Buffer.from([1]),
    blob(Buffer.from([4])),
    blob(Buffer.from(note)),
    nat64(1_000_000),
    ...Array.from({ length: 6 }, () => nat64(0)),
    nat64(number),
    blob(Buffer.alloc(32)),
    nat64(0),
    Buffer.from([0]),
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
