/**
 * Reads values of known Candid types, one after the other, from untrusted bytes. It never reads past the end, checks every
 * length against the input, and works in linear time. (14 hostile bytes keep a general decoder busy for seconds.)
 *
 * Encoding: Candid specification, "Binary Format" (numbers little-endian, lengths in unsigned LEB128).
 */
import { isUtf8 } from "node:buffer";
import { FormatError } from "../errors.ts";

export class CandidReader {
  readonly #bytes: Buffer;
  #at: number;

  /** @param start where to begin, after a prefix that the caller has compared */
  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = start;
  }

  #take(length: number): number {
    const from = this.#at;
    if (length > this.#bytes.length - from) throw new FormatError(`ends after ${this.#bytes.length} bytes`);
    this.#at = from + length;
    return from;
  }

  /** Checks that the next bytes are exactly these. @param name what begins with them, for the error. @throws FormatError */
  expect(expected: Uint8Array, name: string): void {
    const from = this.#take(expected.length);
    if (this.#bytes.compare(expected, 0, expected.length, from, this.#at) !== 0) {
      throw new FormatError(`does not begin as ${name} does`);
    }
  }

  nat8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  nat32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  nat64(): bigint {
    return this.#bytes.readBigUInt64LE(this.#take(8));
  }

  /** A nat64 as a safe integer. @throws FormatError when it is larger, which no size or count is */
  exactNat64(): number {
    const value = this.nat64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new FormatError(`a number as large as ${value}`);
    return Number(value);
  }

  bool(): boolean {
    const value = this.nat8();
    if (value > 1) throw new FormatError(`${value} is not a bool`);
    return value === 1;
  }

  /** An unsigned LEB128 of at most 32 bits: a length, or a variant's tag. */
  #leb128(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.nat8();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break;
        return value;
      }
    }
    throw new FormatError("a length over 32 bits");
  }

  /** The number of elements of a vector, each of which takes at least `elementBytes`. */
  vecLength(elementBytes: number): number {
    const length = this.#leb128();
    if (length * elementBytes > this.#bytes.length - this.#at) {
      throw new FormatError(`a vector of ${length} elements does not fit`);
    }
    return length;
  }

  /** The index of a variant's case, which is below `cases`. */
  variant(cases: number): number {
    const tag = this.#leb128();
    if (tag >= cases) throw new FormatError(`a variant has no case ${tag}`);
    return tag;
  }

  /** A view of the input, not a copy. */
  blob(): Buffer {
    const length = this.vecLength(1);
    const from = this.#take(length);
    return this.#bytes.subarray(from, from + length);
  }

  /** A SHA-256: a blob of 32 bytes. */
  hash(): Buffer {
    const hash = this.blob();
    if (hash.length !== 32) throw new FormatError(`a SHA-256 of ${hash.length} bytes`);
    return hash;
  }

  /** A principal's bytes. */
  principal(): Buffer {
    // Candid: a reference that is not opaque begins with 1.
    if (this.nat8() !== 1) throw new FormatError("an opaque principal");
    return this.blob();
  }

  text(): string {
    const bytes = this.blob();
    if (!isUtf8(bytes)) throw new FormatError("a text is not UTF-8");
    return bytes.toString("utf8");
  }

  /** An `opt`: what `read` reads, or undefined. */
  opt<T>(read: () => T): T | undefined {
    return this.bool() ? read() : undefined;
  }

  /** Checks that nothing is left to read. */
  end(): void {
    if (this.#at !== this.#bytes.length) {
      throw new FormatError(`${this.#bytes.length - this.#at} bytes too many`);
    }
  }
}
