/**
 * Reads CBOR (RFC 8949) of a known shape from untrusted bytes: definite lengths only, nothing past the end, linear
 * time. The agent's general decoder only gets bytes that have passed checkCbor().
 */
import { FormatError } from "../../errors.ts";

const MAJOR_BYTES = 2;
const MAJOR_TEXT = 3;
const MAJOR_ARRAY = 4;
const MAJOR_MAP = 5;
const MAJOR_TAG = 6;
const MAJOR_SIMPLE = 7;
/** Tag 55799. */
const SELF_DESCRIBED = Buffer.from("d9d9f7", "hex");

export class CborReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #take(length: number): number {
    const from = this.#at;
    if (length > this.#bytes.length - from) throw new FormatError("CBOR ends too early");
    this.#at += length;
    return from;
  }

  /** The next item's major type and argument. Arguments over 2^53 are rounded. */
  head(): { major: number; argument: number } {
    const first = this.#bytes[this.#take(1)]!;
    const major = first >> 5;
    const info = first & 31;
    if (info < 24) return { major, argument: info };
    if (info === 24) return { major, argument: this.#bytes[this.#take(1)]! };
    if (info === 25) return { major, argument: this.#bytes.readUInt16BE(this.#take(2)) };
    if (info === 26) return { major, argument: this.#bytes.readUInt32BE(this.#take(4)) };
    if (info === 27) return { major, argument: Number(this.#bytes.readBigUInt64BE(this.#take(8))) };
    throw new FormatError("CBOR of indefinite length");
  }

  #expect(major: number): number {
    const head = this.head();
    if (head.major !== major)
      throw new FormatError(`CBOR of major type ${head.major} where ${major} belongs`);
    return head.argument;
  }

  /** Steps over the tag that says "this is CBOR" (RFC 8949, 3.4.6); whether it was there. */
  selfDescribed(): boolean {
    const end = this.#at + SELF_DESCRIBED.length;
    if (!SELF_DESCRIBED.equals(this.#bytes.subarray(this.#at, end))) return false;
    this.#at = end;
    return true;
  }

  /** The number of elements of an array, each of which takes at least one byte. */
  array(): number {
    const length = this.#expect(MAJOR_ARRAY);
    if (length > this.#bytes.length - this.#at) throw new FormatError("a CBOR array does not fit");
    return length;
  }

  /** The number of pairs of a map. It may be larger than the input: reading them ends with the input. */
  map(): number {
    return this.#expect(MAJOR_MAP);
  }

  unsigned(): number {
    return this.#expect(0);
  }

  /** A view of the input. */
  bytes(): Buffer {
    return this.#string(this.#expect(MAJOR_BYTES));
  }

  text(): string {
    return this.#string(this.#expect(MAJOR_TEXT)).toString("utf8");
  }

  #string(length: number): Buffer {
    const from = this.#take(length);
    return this.#bytes.subarray(from, from + length);
  }

  /** Steps over one item of any type that is not nested. */
  skipScalar(): void {
    const { major, argument } = this.head();
    if (major === MAJOR_BYTES || major === MAJOR_TEXT) this.#take(argument);
    else if (major === MAJOR_ARRAY || major === MAJOR_MAP)
      throw new FormatError("CBOR nested where it is not");
  }

  /** Steps over one item, nested or not, in bytes that have passed checkCbor(). */
  skip(): void {
    for (let left = 1; left > 0; left--) {
      const { major, argument } = this.head();
      if (major === MAJOR_BYTES || major === MAJOR_TEXT) this.#take(argument);
      else if (major === MAJOR_ARRAY) left += argument;
      else if (major === MAJOR_MAP) left += 2 * argument;
      else if (major === MAJOR_TAG) left += 1;
    }
  }

  skipString(length: number): void {
    this.#take(length);
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new FormatError("bytes after the CBOR");
  }
}

/** Deeper than any certificate: a hash tree over 2^64 leaves has 64 levels, of at most two arrays each. */
const MAX_DEPTH = 200;

/** Few enough for a general decoder to finish within milliseconds. (It takes 17 seconds and a gigabyte for 4 MB of empty strings.) */
const MAX_ITEMS = 50_000;

/**
 * Walks the whole of `bytes` and throws unless it is one well-formed CBOR item, neither too deep nor with too many parts.
 * That makes it safe for a general decoder.
 *
 * @param most how many items it may have
 * @throws FormatError
 */
export function checkCbor(bytes: Uint8Array, most = MAX_ITEMS): void {
  const reader = new CborReader(bytes);
  // How many items are still to come, on each level.
  const open = [1];
  let items = 0;
  while (open.length > 0) {
    const top = open.length - 1;
    if (open[top] === 0) {
      open.pop();
      continue;
    }
    open[top]! -= 1;
    items += 1;
    if (items > most) throw new FormatError(`CBOR of more than ${most} parts`);
    const { major, argument } = reader.head();
    if (major === MAJOR_BYTES || major === MAJOR_TEXT) reader.skipString(argument);
    else if (major === MAJOR_ARRAY) open.push(argument);
    else if (major === MAJOR_MAP) open.push(2 * argument);
    else if (major === MAJOR_TAG) open.push(1);
    else if (major === MAJOR_SIMPLE && argument > 23) throw new FormatError("CBOR of an unknown simple type");
    if (open.length > MAX_DEPTH) throw new FormatError("CBOR nested too deeply");
  }
  reader.end();
}
