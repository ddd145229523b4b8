/**
 * Assembles small WebAssembly modules (wasm32) for tests, from function bodies given as bytes.
 */
import { leb128 } from "../../localnet/wasm-reader.ts";

export const I32 = 0x7f;
export const I64 = 0x7e;

/** Section 12 has the number of data segments, and comes before the code, which names them. */
const SECTION_ORDER = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11];

export interface ModuleParts {
  /** Functions imported from `ic0`: name, parameters, results. They come first in the function index space. */
  imports: [name: string, parameters: number[], results: number[]][];
  /** Functions without parameters and results: exported name (or none) and body without the final `end`. */
  functions: { name?: string; body: number[] }[];
  /** Index of a function to run at the start. */
  start?: number;
  /** Initial values of mutable i32 globals. */
  globals?: number[];
  /** Index of a function to put into a table of one element. */
  element?: number;
  /** The memory's initial contents. */
  data?: [address: number, content: string][];
  custom?: [name: string, content: string][];
  /** Contents of sections by their ids. They replace what would be assembled for them. */
  sections?: Record<number, number[]>;
}

export function assemble(parts: ModuleParts): Uint8Array<ArrayBuffer> {
  const types: number[][] = parts.imports.map(([, parameters, results]) => [
    0x60,
    ...vector(parameters.map((type) => [type])),
    ...vector(results.map((type) => [type])),
  ]);
  types.push([0x60, 0, 0]);
  const own = types.length - 1;
  const imports = parts.imports.map(([name], index) => [
    ...text("ic0"),
    ...text(name),
    0x00,
    ...leb128(index),
  ]);
  const exports = parts.functions.flatMap(({ name }, index) =>
    name === undefined ? [] : [[...text(name), 0x00, ...leb128(parts.imports.length + index)]],
  );
  const code = parts.functions.map(({ body }) => {
    const bytes = [0x00, ...body, 0x0b];
    return [...leb128(bytes.length), ...bytes];
  });
  const globals = (parts.globals ?? []).map((value) => [I32, 0x01, 0x41, value, 0x0b]);
  const data = (parts.data ?? []).map(([address, content]) => [
    ...[0x00, 0x41, address, 0x0b],
    ...text(content),
  ]);
  const sections: Record<number, number[]> = {
    1: vector(types),
    2: vector(imports),
    3: vector(parts.functions.map(() => [...leb128(own)])),
    5: vector([[0x00, 1]]),
    6: vector(globals),
    7: vector(exports),
    10: vector(code),
    11: vector(data),
  };
  if (parts.element !== undefined) {
    sections[4] = vector([[0x70, 0x00, 1]]);
    sections[9] = vector([[0x00, 0x41, 0, 0x0b, 1, ...leb128(parts.element)]]);
  }
  if (parts.start !== undefined) sections[8] = [...leb128(parts.start)];
  Object.assign(sections, parts.sections);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...(parts.custom ?? []).flatMap(([name, content]) =>
      section(0, [...text(name), ...Buffer.from(content)]),
    ),
    ...SECTION_ORDER.flatMap((id) => (sections[id] === undefined ? [] : section(id, sections[id]))),
  ]);
}

function section(id: number, content: number[]): number[] {
  return [id, ...leb128(content.length), ...content];
}

export function vector(items: number[][]): number[] {
  return [...leb128(items.length), ...items.flat()];
}

export function text(value: string): number[] {
  return [...leb128(Buffer.byteLength(value)), ...Buffer.from(value)];
}

/** The imports of {@link TINY}, and their indices. */
const IC0: ModuleParts["imports"] = [
  ["msg_reply", [], []],
  ["msg_reply_data_append", [I32, I32], []],
  ["msg_arg_data_size", [], [I32]],
  ["msg_arg_data_copy", [I32, I32, I32], []],
  ["stable_grow", [I32], [I32]],
  ["stable_write", [I32, I32, I32], []],
  ["stable_read", [I32, I32, I32], []],
  ["msg_caller_copy", [I32, I32, I32], []],
  ["msg_caller_size", [], [I32]],
  ["something_new", [], []],
  ["data_certificate_copy", [I32, I32, I32], []],
  ["data_certificate_size", [], [I32]],
];
const [
  REPLY,
  APPEND,
  ARG_SIZE,
  ARG_COPY,
  GROW,
  WRITE,
  READ,
  CALLER_COPY,
  CALLER_SIZE,
  UNKNOWN,
  PROOF,
  PROOF_SIZE,
] = IC0.keys();

const constant = (value: number): number[] => [0x41, value];
const call = (index: number | undefined): number[] => [0x10, index!];
const addToGlobal = (value: number): number[] => [0x23, 0, ...constant(value), 0x6a, 0x24, 0];
const storeByte = (address: number, value: number): number[] => [
  ...constant(address),
  ...constant(value),
  0x3a,
  0,
  0,
];
/** The byte of {@link TINY}'s reply that has its global. */
export const GLOBAL = 15;
/** Replies with 16 bytes of memory, of which the last is the global. */
const reply: number[] = [
  ...[...constant(GLOBAL), 0x23, 0, 0x3a, 0, 0],
  ...[...constant(0), ...constant(16), ...call(APPEND)],
  ...call(REPLY),
];

/**
 * A canister in a few bytes of wasm32. Its start function sets byte 1; `canister_init` copies its argument to memory.
 * `bump` adds 1 to a global and changes bytes in memory and stable memory; `trap` does so and then traps.
 */
export const TINY = assemble({
  imports: IC0,
  globals: [7],
  start: IC0.length,
  custom: [
    ["icp:public candid:service", "service : {}"],
    ["icp:private secret", "for controllers"],
  ],
  functions: [
    { body: storeByte(1, 5) },
    { name: "canister_init", body: [...constant(2), ...constant(0), ...call(ARG_SIZE), ...call(ARG_COPY)] },
    { name: "canister_query peek", body: reply },
    {
      name: "canister_query peekStable",
      body: [...constant(0), ...constant(0), ...constant(1), ...call(READ), ...reply],
    },
    { name: "canister_update bump", body: [...addToGlobal(1), ...storeByte(0, 9), ...reply] },
    { name: "canister_query bumpQuery", body: [...addToGlobal(1), ...storeByte(0, 9), ...reply] },
    {
      name: "canister_query growQuery",
      body: [...constant(1), 0x40, 0, 0x1a, ...constant(14), 0x3f, 0, 0x3a, 0, 0, ...reply],
    },
    { name: "canister_update size", body: [...constant(14), 0x3f, 0, 0x3a, 0, 0, ...reply] },
    {
      name: "canister_update stable",
      body: [
        ...[...constant(1), ...call(GROW), 0x1a],
        ...[...storeByte(8, 42), ...constant(0), ...constant(8), ...constant(1), ...call(WRITE)],
        ...reply,
      ],
    },
    { name: "canister_update trap", body: [...addToGlobal(1), ...storeByte(0, 9), 0x00] },
    { name: "canister_update spin", body: [...addToGlobal(1), 0x03, 0x40, 0x0c, 0, 0x0b] },
    { name: "canister_update silent", body: [] },
    { name: "canister_update unknown", body: call(UNKNOWN) },
    {
      name: "canister_update caller",
      body: [
        ...[...constant(0), ...constant(0), ...call(CALLER_SIZE), ...call(CALLER_COPY)],
        ...[...constant(0), ...call(CALLER_SIZE), ...call(APPEND), ...call(REPLY)],
      ],
    },
    {
      name: "canister_query certificate",
      body: [
        ...[...constant(0), ...constant(0), ...call(PROOF_SIZE), ...call(PROOF)],
        ...[...constant(0), ...call(PROOF_SIZE), ...call(APPEND), ...call(REPLY)],
      ],
    },
    { name: "canister_update beyond", body: [...constant(0), ...constant(0x7f), ...call(APPEND)] },
  ],
});
