/** The answer of the method `headers`, and of /.icfs/headers/N: a CBOR array of byte strings (docs/PROTOCOL.md). */
import { CborReader } from "../../ic/certificate/cbor-reader.ts";

/** The byte strings in such an answer, as views of it. They are not checked. @throws FormatError */
export function decodeHeaders(bytes: Uint8Array): Uint8Array[] {
  const reader = new CborReader(bytes);
  const headers: Uint8Array[] = [];
  for (let left = reader.array(); left > 0; left--) headers.push(reader.bytes());
  reader.end();
  return headers;
}

/** The answer with these headers. */
export function encodeHeaders(headers: readonly Uint8Array[]): Buffer {
  const parts = headers.flatMap((header) => [initial(BYTES, header.length), header]);
  return Buffer.concat([initial(ARRAY, headers.length), ...parts]);
}

/** CBOR's major types (RFC 8949, section 3.1). */
const BYTES = 2;
const ARRAY = 4;

/** The head of an item, with its length in the shortest form. */
function initial(type: number, length: number): Buffer {
  const major = type << 5;
  if (length < 24) return Buffer.from([major | length]);
  if (length < 0x100) return Buffer.from([major | 24, length]);
  const head = Buffer.alloc(length < 0x10000 ? 3 : 5);
  head[0] = major | (head.length === 3 ? 25 : 26);
  head.writeUIntBE(length, 1, head.length - 1);
  return head;
}
