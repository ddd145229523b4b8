/**
 * Decodes Candid of any type from untrusted bytes, for canisters whose types are not ours and differ by version. Time
 * and memory are linear in the bytes: numbers have a bounded length, and the number of values that take no bytes is limited.
 * (14 bytes can keep a general decoder busy for seconds.)
 *
 * Encoding: Candid specification, "Binary Format".
 */
import { isUtf8 } from "node:buffer";
import { idlLabelToId } from "@icp-sdk/core/candid";
import { FormatError } from "../errors.ts";
import { atOnce } from "../steps.ts";

/** A decoded value. `null`, `reserved` and an empty `opt` are undefined; a principal is its bytes. */
export type CandidValue =
  | undefined
  | boolean
  | bigint
  | number
  | string
  | Buffer
  | readonly CandidValue[]
  | CandidRecord
  | CandidVariant;

/** Fields by the hash of their names. */
export class CandidRecord {
  readonly #fields: ReadonlyMap<number, CandidValue>;

  constructor(fields: ReadonlyMap<number, CandidValue>) {
    this.#fields = fields;
  }

  /** A field's value; undefined when there is no such field. @param name a name, or a tuple's index */
  get(name: string | number): CandidValue {
    return this.#fields.get(typeof name === "number" ? name : idlLabelToId(name));
  }

  text(name: string | number): string {
    return this.#typed(name, "a text", (value) => (typeof value === "string" ? value : undefined));
  }

  blob(name: string | number): Buffer {
    return this.#typed(name, "a blob", (value) => (Buffer.isBuffer(value) ? value : undefined));
  }

  /** A non-negative safe integer. */
  size(name: string | number): number {
    return this.#typed(name, "a size", (value) => {
      const number = typeof value === "bigint" || typeof value === "number" ? Number(value) : -1;
      return Number.isSafeInteger(number) && number >= 0 ? number : undefined;
    });
  }

  records(name: string | number): readonly CandidRecord[] {
    return this.#typed(name, "a list of records", recordsIn);
  }

  #typed<T>(name: string | number, what: string, convert: (value: CandidValue) => T | undefined): T {
    const value = convert(this.get(name));
    if (value === undefined) throw new FormatError(`field ${name} is not ${what}`);
    return value;
  }
}

export class CandidVariant {
  /** The hash of the case's name. */
  readonly tag: number;
  readonly value: CandidValue;

  constructor(tag: number, value: CandidValue) {
    this.tag = tag;
    this.value = value;
  }
}

/** The records of a value that is a vector of records; undefined when it is not one. */
function recordsIn(value: CandidValue): readonly CandidRecord[] | undefined {
  return Array.isArray(value) && value.every((one) => one instanceof CandidRecord) ? value : undefined;
}

/** The only value of a message, a vector of records: in steps, since there may be many. @throws FormatError */
export function* decodingRecords(message: Uint8Array): Generator<void, readonly CandidRecord[]> {
  const records = recordsIn(yield* new Decoder(message).list());
  if (records === undefined) throw new FormatError("the reply is not a list of records");
  return records;
}

/** decodingRecords() without steps, for a reply that has few. @throws FormatError */
export function decodeRecords(message: Uint8Array): readonly CandidRecord[] {
  return atOnce(decodingRecords(message));
}

/** The only value of a message, a record. @throws FormatError */
export function decodeRecord(message: Uint8Array): CandidRecord {
  const value = new Decoder(message).only();
  if (!(value instanceof CandidRecord)) throw new FormatError("the reply is not a record");
  return value;
}

/**
 * Walks all of a message with any number of values, and throws unless it is well-formed Candid with few types and values. That makes it
 * safe for @icp-sdk/core's decoder, which takes seconds for numbers of a megabyte, and for many values that take no bytes.
 *
 * @throws FormatError
 */
export function checkCandid(message: Uint8Array): void {
  new Decoder(message).walk();
}

/** A type: its index in the message's table or, if it is primitive, its negative code. */
type TypeReference = number;

interface VectorType {
  readonly kind: "vec" | "opt";
  readonly of: TypeReference;
}

interface FieldsType {
  readonly kind: "record" | "variant";
  readonly fields: readonly (readonly [hash: number, type: TypeReference])[];
}

type TableType = VectorType | FieldsType;

const NULL = -1;
const BOOL = -2;
const NAT = -3;
const INT = -4;
const NAT8 = -5;
/** The bytes of nat8 to nat64, int8 to int64, float32 and float64. */
const FIXED_BYTES: Readonly<Record<TypeReference, number>> = {
  [NAT8]: 1,
  [-6]: 2,
  [-7]: 4,
  [-8]: 8,
  [-9]: 1,
  [-10]: 2,
  [-11]: 4,
  [-12]: 8,
  [-13]: 4,
  [-14]: 8,
};
const TEXT = -15;
const RESERVED = -16;
const PRINCIPAL = -24;
const OPT = -18;
const VEC = -19;
const RECORD = -20;
const VARIANT = -21;

/** The replies that icfs reads have a dozen types. */
const MOST_TYPES = 1000;
/** Of all types together: the time that @icp-sdk/core's decoder takes grows with the square of that. */
const MOST_FIELDS = 2000;
const MOST_ARGUMENTS = 10;
/** No list that icfs reads has more, and each may be an object. */
const MOST_ELEMENTS = 100_001;
/** A type may contain itself, in values that take no bytes. */
const MOST_DEPTH = 50;
/**
 * Limits on numbers, texts, records and so on, including nested ones: in a list, in one of its elements (or in a message that is not
 * decoded as a list), and in a message that is walked.
 */
const MOST_VALUES = 1_000_000;
const MOST_VALUES_AT_ONCE = 10_000;
const MOST_VALUES_WALKED = 200_000;
/** Between two pauses: a millisecond or two. */
const VALUES_PER_STEP = 2000;
/** Bytes of LEB128 in a walked message: 133 bits, and a count of cycles has 128 at most. */
const MOST_WALKED_NUMBER_BYTES = 19;
/** Bytes of LEB128 that are decoded: 70 bits, which is enough for a nat64. */
const MOST_NUMBER_BYTES = 10;
/** Stands for any nat with more bytes: too large for any purpose. */
const TOO_MUCH = 2n ** 70n;

class Decoder {
  readonly #bytes: Buffer;
  #at = 0;
  readonly #types: TableType[] = [];
  /** The fields of all types together. */
  #fields = 0;
  /** How many values that take no bytes of their own may still come. */
  #free: number;
  /** How many values there were, and may be by now. */
  #values = 0;
  #mostValues = MOST_VALUES_AT_ONCE;
  #mostNumberBytes = Number.POSITIVE_INFINITY;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#free = bytes.length;
  }

  /** The only value. */
  only(): CandidValue {
    const value = this.#value(this.#onlyType(), 0);
    this.#end();
    return value;
  }

  /** The only value, a vector, in steps; undefined when it is not a vector. */
  *list(): Generator<void, CandidValue[] | undefined> {
    const type = this.#types[this.#onlyType()];
    if (type?.kind !== "vec") return undefined;
    const values: CandidValue[] = [];
    let step = 0;
    for (let left = this.#elements(); left > 0; left--) {
      this.#mostValues = Math.min(this.#values + MOST_VALUES_AT_ONCE, MOST_VALUES);
      values.push(this.#value(type.of, 1));
      if (this.#values - step < VALUES_PER_STEP) continue;
      step = this.#values;
      yield;
    }
    this.#end();
    return values;
  }

  /** Checks all values, however many there are, and returns none. */
  walk(): void {
    this.#mostValues = MOST_VALUES_WALKED;
    this.#mostNumberBytes = MOST_WALKED_NUMBER_BYTES;
    for (const type of this.#argumentTypes()) this.#value(type, 0);
    this.#end();
  }

  /** Reads the types, and that of the only value. */
  #onlyType(): TypeReference {
    const types = this.#argumentTypes();
    if (types.length !== 1) throw new FormatError(`the reply has ${types.length} values`);
    return types[0]!;
  }

  #argumentTypes(): TypeReference[] {
    if (this.#bytes.toString("latin1", 0, 4) !== "DIDL") throw new FormatError("the reply is not Candid");
    this.#at = 4;
    const types = this.#count(MOST_TYPES, "types");
    for (let i = 0; i < types; i++) this.#types.push(this.#tableType());
    const argumentTypes = Array.from({ length: this.#count(MOST_ARGUMENTS, "values") }, () =>
      this.#reference(),
    );
    for (const type of argumentTypes) this.#mustExist(type);
    for (const type of this.#types) {
      const parts = "fields" in type ? type.fields.map(([, of]) => of) : [type.of];
      for (const part of parts) this.#mustExist(part);
    }
    return argumentTypes;
  }

  #end(): void {
    if (this.#at !== this.#bytes.length) throw new FormatError("the reply is longer than its values");
  }

  /** The number of elements that a vector claims. A false claim fails where the bytes end, or #free does. */
  #elements(): number {
    return this.#count(MOST_ELEMENTS, "elements in a vector");
  }

  #tableType(): TableType {
    const code = this.#signed();
    if (code === OPT) return { kind: "opt", of: this.#reference() };
    if (code === VEC) return { kind: "vec", of: this.#reference() };
    if (code !== RECORD && code !== VARIANT) throw new FormatError(`the reply has a type ${code}`);
    const count = this.#count(MOST_FIELDS, "fields");
    this.#fields += count;
    if (this.#fields > MOST_FIELDS)
      throw new FormatError(`the reply has types of more than ${MOST_FIELDS} fields`);
    const fields = Array.from({ length: count }, () => [this.#unsigned(), this.#reference()] as const);
    return { kind: code === RECORD ? "record" : "variant", fields };
  }

  #reference(): TypeReference {
    return this.#signed();
  }

  #mustExist(type: TypeReference): void {
    const exists =
      type >= 0
        ? type < this.#types.length
        : FIXED_BYTES[type] !== undefined || [NULL, BOOL, NAT, INT, TEXT, RESERVED, PRINCIPAL].includes(type);
    if (!exists) throw new FormatError(`the reply has a type ${type}`);
  }

  #value(type: TypeReference, depth: number): CandidValue {
    if (depth > MOST_DEPTH) throw new FormatError("the reply is nested too deeply");
    this.#values += 1;
    if (this.#values > this.#mostValues)
      throw new FormatError(`the reply has more than ${this.#mostValues} values`);
    if (type >= 0) return this.#composite(this.#types[type]!, depth);
    const fixed = FIXED_BYTES[type];
    if (fixed !== undefined) return this.#fixed(type, this.#take(fixed));
    switch (type) {
      case NULL:
      case RESERVED:
        this.#free -= 1;
        if (this.#free < 0) throw new FormatError("the reply has more values than bytes");
        return undefined;
      case BOOL:
        return this.#flag();
      case NAT:
        return this.#nat();
      case INT:
        return this.#int();
      case TEXT: {
        const bytes = this.#lengthPrefixed();
        if (!isUtf8(bytes)) throw new FormatError("a text is not UTF-8");
        return bytes.toString("utf8");
      }
      default:
        if (!this.#flag()) throw new FormatError("an opaque principal");
        return this.#lengthPrefixed();
    }
  }

  #composite(type: TableType, depth: number): CandidValue {
    switch (type.kind) {
      case "opt":
        return this.#flag() ? this.#value(type.of, depth + 1) : undefined;
      case "vec":
        return type.of === NAT8 ? this.#lengthPrefixed() : this.#vector(type.of, depth);
      case "record":
        this.#free -= 1;
        if (this.#free < 0) throw new FormatError("the reply has more values than bytes");
        return new CandidRecord(new Map(type.fields.map(([hash, of]) => [hash, this.#value(of, depth + 1)])));
      case "variant": {
        const chosen = type.fields[this.#unsigned()];
        if (chosen === undefined) throw new FormatError("a variant has no such case");
        return new CandidVariant(chosen[0], this.#value(chosen[1], depth + 1));
      }
    }
  }

  #vector(of: TypeReference, depth: number): CandidValue[] {
    const values: CandidValue[] = [];
    for (let left = this.#elements(); left > 0; left--) values.push(this.#value(of, depth + 1));
    return values;
  }

  #fixed(type: TypeReference, bytes: Buffer): CandidValue {
    if (type === -13) return bytes.readFloatLE(0);
    if (type === -14) return bytes.readDoubleLE(0);
    if (type === -8) return bytes.readBigUInt64LE(0);
    if (type === -12) return bytes.readBigInt64LE(0);
    return type > -9 ? bytes.readUIntLE(0, bytes.length) : bytes.readIntLE(0, bytes.length);
  }

  #flag(): boolean {
    const byte = this.#byte();
    if (byte > 1) throw new FormatError(`${byte} is not a bool`);
    return byte === 1;
  }

  #lengthPrefixed(): Buffer {
    return this.#take(this.#unsigned());
  }

  #count(most: number, what: string): number {
    const count = this.#unsigned();
    if (count > most) throw new FormatError(`the reply has ${count} ${what}`);
    return count;
  }

  /** A length, a tag or a hash: LEB128 of at most 32 bits. */
  #unsigned(): number {
    let value = 0;
    for (let i = 0; i < 5; i++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80 && value <= 0xffff_ffff) return value;
      if (byte < 0x80) break;
    }
    throw new FormatError("a length over 32 bits");
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new FormatError("the reply ends too early");
    this.#at += 1;
    return byte;
  }

  #signed(): number {
    const value = this.#int();
    if (value < -1000n || value > BigInt(MOST_TYPES)) throw new FormatError(`the reply has a type ${value}`);
    return Number(value);
  }

  #nat(): bigint {
    return this.#leb128()?.value ?? TOO_MUCH;
  }

  #int(): bigint {
    const number = this.#leb128();
    // A walk needs only its end.
    if (number === undefined && this.#mostNumberBytes === MOST_WALKED_NUMBER_BYTES) return TOO_MUCH;
    if (number === undefined) throw new FormatError("a number of more than 70 bits");
    return BigInt.asIntN(number.bits, number.value);
  }

  /** A number and its width in bits; undefined when it is longer than MOST_NUMBER_BYTES. */
  #leb128(): { value: bigint; bits: number } | undefined {
    // Most numbers are exact without BigInt.
    let low = 0;
    let high = 0n;
    for (let i = 0; ; i++) {
      const byte = this.#byte();
      if (i < 7) low += (byte & 0x7f) * 2 ** (7 * i);
      else if (i < MOST_NUMBER_BYTES) high |= BigInt(byte & 0x7f) << BigInt(7 * i);
      if (i >= this.#mostNumberBytes) throw new FormatError(`a number of more than ${i} bytes`);
      if (byte >= 0x80) continue;
      return i < MOST_NUMBER_BYTES ? { value: BigInt(low) + high, bits: 7 * (i + 1) } : undefined;
    }
  }

  #take(length: number): Buffer {
    const from = this.#at;
    if (length > this.#bytes.length - from) throw new FormatError("the reply ends too early");
    this.#at = from + length;
    return this.#bytes.subarray(from, this.#at);
  }
}
