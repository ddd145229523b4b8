/**
 * Steps over WebAssembly instructions (core specification, "Instructions" of the binary format), for code that rewrites functions
 * and must know where each instruction begins and ends.
 */
import { leb128, Reader } from "./wasm-reader.ts";

/** An instruction that this module does not know; today's canister compilers generate none of these. */
export class UnknownInstructionError extends Error {
  override name = "UnknownInstructionError";
}

export interface Instruction {
  readonly opcode: number;
  /** The second opcode, if the first is a prefix (0xfc bulk memory and conversions, 0xfd SIMD). */
  readonly kind?: number;
  /** What a memory instruction adds to its address. */
  readonly offset?: number;
}

/** @throws UnknownInstructionError */
export function readInstruction(reader: Reader): Instruction {
  const opcode = reader.byte();
  if (opcode >= 0x28 && opcode <= 0x3e) return { opcode, offset: memarg(reader) };
  // Without operands: parametric, numeric, conversions, sign extension, ref.is_null.
  if (opcode <= 0x01 || opcode === 0x05 || opcode === 0x0b || opcode === 0x0f) return { opcode };
  if (opcode === 0x1a || opcode === 0x1b || (opcode >= 0x45 && opcode <= 0xc4) || opcode === 0xd1) {
    return { opcode };
  }
  switch (opcode) {
    case 0x0e: // br_table
      for (let left = reader.number(); left >= 0; left--) reader.number();
      return { opcode };
    case 0x11: // call_indirect
    case 0x13: // return_call_indirect
      reader.number();
      reader.number();
      return { opcode };
    case 0x1c: // select with types
      for (let left = reader.number(); left > 0; left--) skipValueType(reader);
      return { opcode };
    case 0x43: // f32.const
      reader.skip(4);
      return { opcode };
    case 0x44: // f64.const
      reader.skip(8);
      return { opcode };
    case 0xfc:
      return { opcode, kind: bulkOrConversion(reader) };
    case 0xfd:
      return { opcode, ...simd(reader) };
  }
  const oneNumber =
    (opcode >= 0x02 && opcode <= 0x04) || // block, loop, if: a type
    (opcode >= 0x0c && opcode <= 0x0d) || // br, br_if
    opcode === 0x10 ||
    opcode === 0x12 || // call, return_call
    (opcode >= 0x20 && opcode <= 0x26) || // locals, globals, tables
    (opcode >= 0x3f && opcode <= 0x42) || // memory.size, memory.grow, constants
    opcode === 0xd0 ||
    opcode === 0xd2; // ref.null, ref.func
  if (!oneNumber) throw new UnknownInstructionError(`opcode ${opcode}`);
  const operand = reader.number();
  // The type of a block may continue with a heap type.
  if (opcode <= 0x04 && (operand === 0x63 || operand === 0x64)) {
    throw new UnknownInstructionError("a block of a reference type");
  }
  return { opcode };
}

/**
 * Rewrites the functions of a code section.
 * @param rewrite receives a reader of a function's body, locals first, and returns the new body
 */
export function rewriteFunctions(code: Uint8Array, rewrite: (body: Reader) => Uint8Array): Uint8Array {
  const reader = new Reader(code, 0, code.length);
  const count = reader.number();
  const pieces: Uint8Array[] = [leb128(count)];
  for (let left = count; left > 0; left--) {
    const length = reader.number();
    const body = rewrite(new Reader(code, reader.at, reader.at + length));
    reader.skip(length);
    pieces.push(leb128(body.length), body);
  }
  return Buffer.concat(pieces);
}

/** Steps over the declaration of a function's locals. */
export function skipLocals(reader: Reader): void {
  for (let groups = reader.number(); groups > 0; groups--) {
    reader.number();
    skipValueType(reader);
  }
}

/** Steps over a value type. */
function skipValueType(reader: Reader): void {
  const code = reader.byte();
  if (code === 0x63 || code === 0x64) reader.number();
}

function bulkOrConversion(reader: Reader): number {
  const kind = reader.number();
  if (kind <= 7) return kind; // saturating conversions
  if (kind > 17) throw new UnknownInstructionError(`opcode 0xfc ${kind}`);
  reader.number();
  if (kind === 8 || kind === 10 || kind === 12 || kind === 14) reader.number();
  return kind;
}

function simd(reader: Reader): { kind: number; offset?: number } {
  const kind = reader.number();
  if (kind <= 11 || kind === 92 || kind === 93) return { kind, offset: memarg(reader) };
  if (kind >= 84 && kind <= 91) {
    const offset = memarg(reader);
    reader.skip(1);
    return { kind, offset };
  }
  if (kind === 12 || kind === 13) reader.skip(16);
  else if (kind >= 21 && kind <= 34) reader.skip(1);
  return { kind };
}

/** Reads alignment and offset of a memory instruction; returns the offset. */
function memarg(reader: Reader): number {
  if ((reader.number() & 0x40) !== 0) throw new UnknownInstructionError("a second memory");
  const offset = reader.number();
  if (!Number.isSafeInteger(offset)) throw new UnknownInstructionError("an offset beyond 2^53");
  return offset;
}
