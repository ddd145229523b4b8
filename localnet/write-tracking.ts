/**
 * Makes a module track which pages of its memory it writes to, so that committing or undoing a message takes time only
 * for the changed pages and not for the whole heap. It also tracks the size of the memory: a memory cannot shrink, but
 * the module uses the tracked size, so a message that has grown it can be undone.
 *
 * Every instruction that writes to memory is replaced by a call of a small function, which sets a byte for the page in a second
 * memory, and then executes the instruction. Functions are added at the end, so that no index changes. A write may reach from the page it is
 * noted for into the next: readers of the notes must check that page, too. The instructions for the memory's size become calls as
 * well.
 */
import {
  readInstruction,
  rewriteFunctions,
  skipLocals,
  UnknownInstructionError,
} from "./wasm-instructions.ts";
import { leb128, Reader } from "./wasm-reader.ts";

/** The tracking bytes at the beginning of the second memory: for 8 GiB in pages of 64 KiB, more than the IC's limit for a heap. */
export const NOTES_BYTES = 2 * 65536;
/** Where the memory's number of pages follows them, in 32 bits. The host must set it before any code runs. */
export const SIZE_AT = NOTES_BYTES;
/** Pages of the second memory. */
const NOTES_PAGES = 3;
const I32 = 0x7f;
const I64 = 0x7e;
const F32 = 0x7d;
const F64 = 0x7c;
const V128 = 0x7b;
/** The type of the value each store instruction takes. */
const STORES = new Map([
  [0x36, I32],
  [0x37, I64],
  [0x38, F32],
  [0x39, F64],
  [0x3a, I32],
  [0x3b, I32],
  [0x3c, I64],
  [0x3d, I64],
  [0x3e, I64],
]);
const SIMD = 0xfd;
/** The SIMD instructions that store a whole vector, or a lane of 8, 16, 32 or 64 bits. */
const SIMD_STORES = new Set([11, 88, 89, 90, 91]);
const BULK = 0xfc;
const TABLE_SET = 0x26;
const MEMORY_SIZE = 0x3f;
const MEMORY_GROW = 0x40;
/** Subopcodes of 0xfc: data.drop, table.init, elem.drop, table.copy, table.grow, table.fill. */
const OTHER_CHANGES = new Set([9, 12, 13, 14, 15, 17]);
const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const CALL = 0x10;
const RETURN = 0x0f;
const END = 0x0b;
/** A block without parameters or results. */
const IF = [0x04, 0x40];

/** The added functions, one for each different instruction that writes. */
class Helpers {
  readonly #firstType: number;
  readonly #firstFunction: number;
  readonly #address: number;
  readonly #indices = new Map<string, number>();
  readonly types: Uint8Array[] = [];
  readonly bodies: Uint8Array[] = [];
  /** Whether an instruction changes something other than memory and globals: a table, or a dropped segment. */
  changesMore = false;

  constructor(firstType: number, firstFunction: number, is64: boolean) {
    this.#firstType = firstType;
    this.#firstFunction = firstFunction;
    this.#address = is64 ? I64 : I32;
  }

  /** The replacement for a store instruction. @param value the type of what it stores */
  store(instruction: Uint8Array, value: number, offset: number): number {
    return this.#known(instruction, () => {
      const note = [
        ...this.#page([LOCAL_GET, 0, ...(offset === 0 ? [] : this.#plusConstant(offset))]),
        // i32.const 1, i32.store8 to memory 1
        ...[0x41, 1, 0x3a, 0x40, 1, 0],
      ];
      return this.#helper(instruction, [this.#address, value], note);
    });
  }

  /** The replacement for memory.fill, memory.copy or memory.init. */
  bulk(instruction: Uint8Array, parameters: ("address" | "i32")[]): number {
    return this.#known(instruction, () => {
      const types = parameters.map((type) => (type === "address" ? this.#address : I32));
      const size = [LOCAL_GET, 2, ...(types[2] === I32 && this.#address === I64 ? [0xad] : [])];
      const first = this.#page([LOCAL_GET, 0]);
      const last = this.#page([LOCAL_GET, 0, ...size, this.#address === I64 ? 0x7c : 0x6a]);
      // memory.fill of memory 1: from `first`, with 1, for last - first + 1 bytes
      const note = [...first, 0x41, 1, ...last, ...first, 0x6b, 0x41, 1, 0x6a, 0xfc, 11, 1];
      return this.#helper(instruction, types, note);
    });
  }

  /** The replacement for memory.size. */
  size(): number {
    return this.#known(Uint8Array.of(MEMORY_SIZE), () =>
      this.#function([], [this.#address], [0, ...this.#noted()]),
    );
  }

  /** The replacement for memory.grow, which first uses up what an undone message has left behind. */
  grow(): number {
    return this.#known(Uint8Array.of(MEMORY_GROW), () => this.#growth());
  }

  #growth(): number {
    const is64 = this.#address === I64;
    const [add, subtract, greater, equal] = is64 ? [0x7c, 0x7d, 0x56, 0x51] : [0x6a, 0x6b, 0x4b, 0x46];
    const minusOne = [is64 ? 0x42 : 0x41, 0x7f];
    const [delta, before] = [
      [LOCAL_GET, 0],
      [LOCAL_GET, 1],
    ];
    const left = [MEMORY_SIZE, 0, ...before, subtract];
    return this.#function(
      [this.#address],
      [this.#address],
      [
        // One local besides the parameter.
        ...[1, 1, this.#address],
        ...[...this.#noted(), LOCAL_SET, 1],
        ...[...delta, ...left, greater, ...IF],
        ...[...delta, ...left, subtract, MEMORY_GROW, 0, ...minusOne, equal, ...IF],
        ...[...minusOne, RETURN, END],
        END,
        ...[...this.#sizeAt(), ...before, ...delta, add, ...(is64 ? [0xa7] : [])],
        // i32.store to memory 1
        ...[0x36, 0x42, 1, 0],
        ...before,
      ],
    );
  }

  /** Code that reads the memory's tracked size. */
  #noted(): number[] {
    // i32.load from memory 1; and for 64 bits i64.extend_i32_u
    return [...this.#sizeAt(), 0x28, 0x42, 1, 0, ...(this.#address === I64 ? [0xad] : [])];
  }

  #sizeAt(): number[] {
    return [0x41, ...signedLeb128(SIZE_AT)];
  }

  /** The function for an instruction, made on first use: there are thousands of stores, of a few hundred kinds. */
  #known(instruction: Uint8Array, make: () => number): number {
    const key = instruction.join();
    let index = this.#indices.get(key);
    if (index === undefined) {
      index = make();
      this.#indices.set(key, index);
    }
    return index;
  }

  #helper(instruction: Uint8Array, parameters: number[], note: number[]): number {
    const gets = parameters.flatMap((_, local) => [LOCAL_GET, local]);
    return this.#function(parameters, [], [0, ...note, ...gets, ...instruction]);
  }

  /** Adds a function. @param code its locals and its body */
  #function(parameters: number[], results: number[], code: number[]): number {
    const index = this.#firstFunction + this.bodies.length;
    this.types.push(Uint8Array.from([0x60, parameters.length, ...parameters, results.length, ...results]));
    this.bodies.push(Uint8Array.from([...leb128(code.length + 1), ...code, END]));
    return index;
  }

  /** The function section's items for the added functions. */
  typeIndices(): Uint8Array {
    return Buffer.concat(this.types.map((_, index) => leb128(this.#firstType + index)));
  }

  /** Code that turns an address into its page, an i32. */
  #page(address: number[]): number[] {
    // const 16, shr_u; and for 64 bits i32.wrap_i64
    return this.#address === I64 ? [...address, 0x42, 16, 0x88, 0xa7] : [...address, 0x41, 16, 0x76];
  }

  #plusConstant(offset: number): number[] {
    return this.#address === I64
      ? [0x42, ...signedLeb128(offset), 0x7c]
      : [0x41, ...signedLeb128(offset), 0x6a];
  }
}

export interface TrackedModule {
  readonly binary: Uint8Array;
  /** Whether the code changes only memory and globals (no tables, no dropped segments). */
  readonly isReusable: boolean;
}

interface Section {
  id: number;
  /** The section's content, without its id and length. */
  content: Uint8Array;
}

/**
 * Adds the tracking to a module, in memory 1.
 *
 * @returns undefined when the module has no memory, or has an instruction whose writes cannot be tracked
 * @throws InvalidModuleError when the bytes end too early
 */
export function trackWrites(bytes: Uint8Array): TrackedModule | undefined {
  const reader = new Reader(bytes, 8, bytes.length);
  const sections: Section[] = [];
  while (reader.at < reader.end) {
    const id = reader.byte();
    sections.push({ id, content: reader.take(reader.number()) });
  }
  const section = (id: number): Section | undefined => sections.find((found) => found.id === id);
  const count = (id: number): number => {
    const content = section(id)?.content;
    return content === undefined ? 0 : new Reader(content, 0, content.length).number();
  };
  const memory = section(5);
  const code = section(10);
  const types = section(1);
  const functions = section(3);
  if (memory === undefined || code === undefined || types === undefined || functions === undefined)
    return undefined;
  if (count(5) !== 1) return undefined;
  // A canister imports only functions, so these counts cover all functions before its own.
  const helpers = new Helpers(count(1), count(2) + count(3), (memory.content[1]! & 4) !== 0);
  try {
    code.content = rewriteFunctions(code.content, (body) => rewriteBody(body, helpers));
  } catch (error) {
    if (error instanceof UnknownInstructionError) return undefined;
    throw error;
  }
  append(code, helpers.bodies.length, helpers.bodies);
  append(types, helpers.types.length, helpers.types);
  append(functions, helpers.types.length, [helpers.typeIndices()]);
  append(memory, 1, [Uint8Array.of(0, NOTES_PAGES)]);
  const pieces = sections.map(({ id, content }) =>
    Buffer.concat([Buffer.of(id), leb128(content.length), content]),
  );
  const binary = new Uint8Array(Buffer.concat([bytes.subarray(0, 8), ...pieces]));
  return { binary, isReusable: !helpers.changesMore };
}

/** Adds items to a section that is a vector. */
function append(section: Section, items: number, content: Uint8Array[]): void {
  const reader = new Reader(section.content, 0, section.content.length);
  const count = reader.number();
  section.content = Buffer.concat([leb128(count + items), section.content.subarray(reader.at), ...content]);
}

function rewriteBody(reader: Reader, helpers: Helpers): Uint8Array {
  const pieces: Uint8Array[] = [];
  let copied = reader.at;
  skipLocals(reader);
  while (reader.at < reader.end) {
    const start = reader.at;
    const helper = helperFor(reader, helpers);
    if (helper === undefined) continue;
    pieces.push(reader.bytes.subarray(copied, start), Uint8Array.of(CALL), leb128(helper));
    copied = reader.at;
  }
  pieces.push(reader.bytes.subarray(copied, reader.end));
  return Buffer.concat(pieces);
}

/** Reads one instruction, and returns the function that replaces it if it writes to memory, or concerns its size. */
function helperFor(reader: Reader, helpers: Helpers): number | undefined {
  const start = reader.at;
  const { opcode, kind = 0, offset = 0 } = readInstruction(reader);
  const instruction = reader.bytes.subarray(start, reader.at);
  const value = STORES.get(opcode);
  if (value !== undefined) return helpers.store(instruction, value, offset);
  if (opcode === SIMD && SIMD_STORES.has(kind)) return helpers.store(instruction, V128, offset);
  if (opcode === MEMORY_SIZE) return helpers.size();
  if (opcode === MEMORY_GROW) return helpers.grow();
  if (opcode === TABLE_SET || (opcode === BULK && OTHER_CHANGES.has(kind))) helpers.changesMore = true;
  if (opcode !== BULK) return undefined;
  if (kind === 8) return helpers.bulk(instruction, ["address", "i32", "i32"]);
  if (kind === 10) return helpers.bulk(instruction, ["address", "address", "address"]);
  if (kind === 11) return helpers.bulk(instruction, ["address", "i32", "address"]);
  return undefined;
}

function signedLeb128(value: number): number[] {
  const bytes: number[] = [];
  for (let left = BigInt(value); ; ) {
    const low = Number(left & 0x7fn);
    left >>= 7n;
    if (left === 0n && (low & 0x40) === 0) return [...bytes, low];
    bytes.push(low | 0x80);
  }
}
