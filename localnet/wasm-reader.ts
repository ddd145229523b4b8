/**
 * Reads and writes the elements of WebAssembly's binary format.
 */

/** The module cannot be read: not WebAssembly, cut short, or using a feature this reader does not know. */
export class InvalidModuleError extends Error {
  override name = "InvalidModuleError";
}

/** Reads bytes from `at` to `end`. */
export class Reader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  byte(): number {
    if (this.at >= this.end) throw new InvalidModuleError("the module ends too early");
    return this.bytes[this.at++]!;
  }

  /** An unsigned LEB128 number. Beyond 2^53 it loses precision, which does not matter to any caller. */
  number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  /** @throws InvalidModuleError when fewer bytes are left */
  skip(count: number): void {
    if (count > this.end - this.at) throw new InvalidModuleError("the module ends too early");
    this.at += count;
  }

  /** A view of the next bytes. @throws InvalidModuleError when fewer are left */
  take(count: number): Uint8Array {
    this.skip(count);
    return this.bytes.subarray(this.at - count, this.at);
  }

  name(): string {
    return Buffer.from(this.take(this.number())).toString("utf8");
  }
}

/** Encodes a number as unsigned LEB128. */
export function leb128(value: number | bigint): Uint8Array {
  if (value < 0x80) return Uint8Array.of(Number(value));
  const bytes: number[] = [];
  let left = BigInt(value);
  do {
    const low = Number(left & 0x7fn);
    left >>= 7n;
    bytes.push(left === 0n ? low : low | 0x80);
  } while (left !== 0n);
  return Uint8Array.from(bytes);
}
