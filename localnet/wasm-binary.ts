/**
 * Rewrites a canister's WebAssembly binary so that the host can save and restore everything a message may change.
 *
 * JavaScript reaches only what a module exports. Canister modules do not export their mutable globals, and not always
 * their memory and table. So the rewritten module exports all of them under names of our own, and its start
 * function too: the `start` section is removed, because an instance that is only being restored must not run it.
 * Where it can, the module also gets to note which pages it writes to. Everything else is copied byte for byte. The
 * format: WebAssembly core specification, chapter 5.
 */
import { gunzipSync } from "node:zlib";
import { InvalidModuleError, leb128, Reader } from "./wasm-reader.ts";
import { trackWrites } from "./write-tracking.ts";

export const MEMORY_EXPORT = "localnet:memory";
/** The second memory, in which a module tracks the pages that it writes to; see write-tracking.ts. */
export const NOTES_EXPORT = "localnet:notes";
export const TABLE_EXPORT = "localnet:table";
export const START_EXPORT = "localnet:start";
const GLOBAL_EXPORT = "localnet:global:";

/** The types of values; canisters use only the first two with the system API. */
export type ValueType = "i32" | "i64" | "f32" | "f64" | "v128" | "reference";

export interface FunctionImport {
  readonly module: string;
  readonly name: string;
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

export interface Metadata {
  readonly isPublic: boolean;
  readonly content: Uint8Array;
}

export interface RewrittenModule {
  readonly binary: Uint8Array;
  /** Whether the module tracks the pages that it writes to. */
  readonly tracksWrites: boolean;
  /** Whether a message can change only memory and exported globals; otherwise each message needs a new instance. */
  readonly isReusable: boolean;
  readonly functionImports: readonly FunctionImport[];
  /** The names under which the mutable globals that hold numbers are exported, in the order of their indices. */
  readonly globalExports: readonly string[];
  /** Whether the memory's and the table's sizes and indices are 64-bit, so BigInt in JavaScript. */
  readonly memory64: boolean;
  readonly table64: boolean;
  readonly hasStart: boolean;
  /** The names of the functions the canister itself exports. */
  readonly functionExports: readonly string[];
  /** Custom sections named `icp:public NAME` and `icp:private NAME`, by NAME. */
  readonly metadata: ReadonlyMap<string, Metadata>;
}

const NUMBER_TYPES = new Map<number, ValueType>([
  [0x7f, "i32"],
  [0x7e, "i64"],
  [0x7d, "f32"],
  [0x7c, "f64"],
  [0x7b, "v128"],
]);
const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  code: 10,
};
const KIND = { function: 0, table: 1, memory: 2, global: 3, tag: 4 };
const MAGIC_AND_VERSION = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const GZIP_MAGIC = [0x1f, 0x8b];
/** Sections that come before the export section, in the specification's order (13 is the tag section). */
const BEFORE_EXPORTS = new Set([1, 2, 3, 4, 5, 13, 6]);
/** The IC's own limit on an uncompressed module, so that a small archive cannot fill the machine. */
export const MAX_MODULE_BYTES = 100 * 1024 * 1024;

/** Unpacks a gzip-compressed module, as the IC does; other bytes are returned as they are. */
export function unpackModule(bytes: Uint8Array): Uint8Array {
  if (!GZIP_MAGIC.every((byte, index) => bytes[index] === byte)) return bytes;
  try {
    return new Uint8Array(gunzipSync(bytes, { maxOutputLength: MAX_MODULE_BYTES }));
  } catch (error) {
    throw new InvalidModuleError(`the compressed module cannot be unpacked: ${(error as Error).message}`);
  }
}

/**
 * Rewrites an (unpacked) module.
 *
 * @throws InvalidModuleError when the bytes are not a module. The compiler checks the code itself.
 */
export function rewriteModule(original: Uint8Array): RewrittenModule {
  if (!MAGIC_AND_VERSION.every((byte, index) => original[index] === byte)) {
    throw new InvalidModuleError("not a WebAssembly module (version 1)");
  }
  const tracked = trackWrites(original);
  const bytes = tracked?.binary ?? original;
  const reader = new Reader(bytes, MAGIC_AND_VERSION.length, bytes.length);
  const pieces: Uint8Array[] = [bytes.subarray(0, MAGIC_AND_VERSION.length)];
  const types: { parameters: ValueType[]; results: ValueType[] }[] = [];
  const functionImports: FunctionImport[] = [];
  const functionExports: string[] = [];
  const mutableGlobals: number[] = [];
  const metadata = new Map<string, Metadata>();
  const tables: boolean[] = [];
  const memories: boolean[] = [];
  let isReusable = tracked?.isReusable ?? false;
  let start: number | undefined;
  let oldExports: Uint8Array = new Uint8Array();
  let oldExportCount = 0;
  /** Where the new export section goes: after the last piece that must come before it. */
  let exportPosition = 1;

  while (reader.at < reader.end) {
    const sectionStart = reader.at;
    const id = reader.byte();
    const length = reader.number();
    const body = new Reader(bytes, reader.at, reader.at + length);
    reader.skip(length);
    if (id === SECTION.custom) {
      const [, visibility, name] = /^icp:(public|private) (.*)$/s.exec(body.name()) ?? [];
      if (name !== undefined) {
        metadata.set(name, {
          isPublic: visibility === "public",
          content: body.take(body.end - body.at).slice(),
        });
      }
    } else if (id === SECTION.type) {
      for (let left = body.number(); left > 0; left--) types.push(functionType(body));
    } else if (id === SECTION.import) {
      for (let left = body.number(); left > 0; left--) {
        const module = body.name();
        const name = body.name();
        const kind = body.byte();
        if (kind === KIND.function) {
          const type = types[body.number()];
          if (type === undefined) throw new InvalidModuleError(`import ${module}.${name} has no type`);
          functionImports.push({ module, name, ...type });
        } else {
          throw new InvalidModuleError(
            `import ${module}.${name} is not a function; a canister may import nothing else`,
          );
        }
      }
    } else if (id === SECTION.table) {
      for (let left = body.number(); left > 0; left--) tables.push(tableIs64(body));
    } else if (id === SECTION.memory) {
      for (let left = body.number(); left > 0; left--) memories.push(limitsAre64(body));
      if (memories.length > (tracked === undefined ? 1 : 2))
        throw new InvalidModuleError("more than one memory; a canister has one");
    } else if (id === SECTION.global) {
      const globals = body.number();
      for (let index = 0; index < globals; index++) {
        const type = mutableGlobalType(body);
        if (type === undefined) continue;
        if (type === "v128")
          throw new InvalidModuleError("a mutable global of type v128, which the local network cannot save");
        if (type === "reference") isReusable = false;
        else mutableGlobals.push(index);
      }
    } else if (id === SECTION.start) {
      start = body.number();
      continue;
    } else if (id === SECTION.export) {
      oldExportCount = body.number();
      oldExports = bytes.subarray(body.at, body.end);
      for (let left = oldExportCount; left > 0; left--) {
        const name = body.name();
        if (body.byte() === KIND.function) functionExports.push(name);
        body.number();
      }
      continue;
    }
    pieces.push(bytes.subarray(sectionStart, reader.at));
    if (BEFORE_EXPORTS.has(id)) exportPosition = pieces.length;
  }

  const added: Uint8Array[] = [];
  const globalExports = mutableGlobals.map((index) => `${GLOBAL_EXPORT}${index}`);
  if (memories.length > 0) added.push(exportEntry(MEMORY_EXPORT, KIND.memory, 0));
  if (tracked !== undefined) added.push(exportEntry(NOTES_EXPORT, KIND.memory, 1));
  if (tables.length > 0) added.push(exportEntry(TABLE_EXPORT, KIND.table, 0));
  if (start !== undefined) added.push(exportEntry(START_EXPORT, KIND.function, start));
  for (const [at, index] of mutableGlobals.entries())
    added.push(exportEntry(globalExports[at]!, KIND.global, index));
  const exports = Buffer.concat([leb128(oldExportCount + added.length), oldExports, ...added]);
  pieces.splice(
    exportPosition,
    0,
    Buffer.concat([Buffer.of(SECTION.export), leb128(exports.length), exports]),
  );
  return {
    binary: new Uint8Array(Buffer.concat(pieces)),
    tracksWrites: tracked !== undefined,
    isReusable,
    functionImports,
    globalExports,
    memory64: memories[0] ?? false,
    table64: tables[0] ?? false,
    hasStart: start !== undefined,
    functionExports,
    metadata,
  };
}

function functionType(reader: Reader): { parameters: ValueType[]; results: ValueType[] } {
  if (reader.byte() !== 0x60) throw new InvalidModuleError("a type other than a function's");
  const parameters = Array.from({ length: reader.number() }, () => valueType(reader));
  const results = Array.from({ length: reader.number() }, () => valueType(reader));
  return { parameters, results };
}

function valueType(reader: Reader): ValueType {
  const code = reader.byte();
  const number = NUMBER_TYPES.get(code);
  if (number !== undefined) return number;
  // 0x63 and 0x64 are references to a heap type, which follows.
  if (code === 0x63 || code === 0x64) reader.number();
  return "reference";
}

function tableIs64(reader: Reader): boolean {
  const first = reader.byte();
  if (first === 0x40) throw new InvalidModuleError("a table with an initial value");
  if (first === 0x63 || first === 0x64) reader.number();
  return limitsAre64(reader);
}

/** Reads the limits of a memory or table; bit 2 of their flags says that sizes and indices are 64-bit. */
function limitsAre64(reader: Reader): boolean {
  const flags = reader.byte();
  if ((flags & 2) !== 0) throw new InvalidModuleError("memory that threads share; a canister has one thread");
  reader.number();
  if ((flags & 1) !== 0) reader.number();
  return (flags & 4) !== 0;
}

/** Reads one global, its type and its initial value. @returns its type if it is mutable */
function mutableGlobalType(reader: Reader): ValueType | undefined {
  const type = valueType(reader);
  const isMutable = reader.byte() === 1;
  for (;;) {
    const code = reader.byte();
    if (code === 0x0b) return isMutable ? type : undefined;
    // i32.const, i64.const, global.get, ref.null, ref.func: one LEB128 number each (its sign does not matter here).
    if (code === 0x41 || code === 0x42 || code === 0x23 || code === 0xd0 || code === 0xd2) reader.number();
    else if (code === 0x43) reader.skip(4);
    else if (code === 0x44) reader.skip(8);
    // v128.const
    else if (code === 0xfd && reader.number() === 12) reader.skip(16);
    // i32 and i64 add, sub, mul of the extended constant expressions.
    else if (!(code >= 0x6a && code <= 0x6c) && !(code >= 0x7c && code <= 0x7e)) {
      throw new InvalidModuleError(`instruction 0x${code.toString(16)} in a global's initial value`);
    }
  }
}

function exportEntry(name: string, kind: number, index: number): Uint8Array {
  const text = Buffer.from(name);
  return Buffer.concat([leb128(text.length), text, Buffer.of(kind), leb128(index)]);
}
