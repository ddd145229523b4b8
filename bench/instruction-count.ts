/**
 * Makes a canister count the WebAssembly instructions it executes, as the IC does to limit and charge them: each basic
 * block first adds its length to a counter. The query `__instructions` answers with the counter, as 8 bytes.
 *
 * Each instruction counts as one. The IC weighs calls and divisions more, and charges memory.copy and memory.fill by the byte; the
 * resulting charge is of the same order.
 */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { NO_ARGUMENTS } from "../lib/ic/agent.ts";
import { readInstruction, rewriteFunctions, skipLocals } from "../localnet/wasm-instructions.ts";
import { leb128, Reader } from "../localnet/wasm-reader.ts";

const I64 = 0x7e;
/** Instructions after which another basic block begins; `end` and `else` join blocks. */
const BRANCHES = new Set([
  0x00, 0x02, 0x03, 0x04, 0x05, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13,
]);

interface Section {
  readonly id: number;
  content: Uint8Array;
}

/** The module with the counter and the query. @param module a wasm64 canister, as Motoko's compiler makes it */
export function countInstructions(module: Uint8Array): Uint8Array {
  const reader = new Reader(module, 8, module.length);
  const sections: Section[] = [];
  while (reader.at < reader.end) {
    const id = reader.byte();
    sections.push({ id, content: reader.take(reader.number()) });
  }
  const section = (id: number): Section => {
    const found = sections.find((candidate) => candidate.id === id);
    if (found === undefined) throw new Error(`the module has no section ${id}`);
    return found;
  };
  const count = (id: number): number =>
    new Reader(section(id).content, 0, section(id).content.length).number();

  const imports = readImports(section(2).content);
  const counter = count(6);
  const reply = replyBody(counter, imports.indexOf("msg_reply_data_append"), imports.indexOf("msg_reply"));
  const type = count(1);
  const index = imports.length + count(3);
  const name = Buffer.from("canister_query __instructions");
  section(10).content = rewriteFunctions(section(10).content, (body) => rewriteBody(body, counter));
  append(section(1), Uint8Array.of(0x60, 0, 0));
  append(section(3), leb128(type));
  append(section(6), Uint8Array.of(I64, 1, 0x42, 0, 0x0b));
  append(section(7), Buffer.concat([leb128(name.length), name, Uint8Array.of(0), leb128(index)]));
  append(section(10), Buffer.concat([leb128(reply.length), reply]));
  const pieces = sections.map(({ id, content }) =>
    Buffer.concat([Uint8Array.of(id), leb128(content.length), content]),
  );
  return new Uint8Array(Buffer.concat([module.subarray(0, 8), ...pieces]));
}

/** The number of instructions that a counting canister has executed since it was installed. @throws Error when it does not count */
export async function instructionsOf(agent: HttpAgent, canister: Principal): Promise<bigint> {
  const response = await agent.query(canister, { methodName: "__instructions", arg: NO_ARGUMENTS });
  if (response.status !== "replied") throw new Error(response.reject_message);
  return Buffer.from(response.reply.arg).readBigInt64LE();
}

/** Names of the imported functions: a canister imports nothing else. */
function readImports(content: Uint8Array): string[] {
  const reader = new Reader(content, 0, content.length);
  return Array.from({ length: reader.number() }, () => {
    reader.name();
    const name = reader.name();
    reader.byte();
    reader.number();
    return name;
  });
}

/** Writes the counter at address 0 and replies with it. In a query, the overwritten bytes are restored. */
function replyBody(counter: number, append: number, reply: number): Uint8Array {
  if (append < 0 || reply < 0) throw new Error("the module imports no msg_reply");
  return Buffer.concat([
    Uint8Array.of(0, 0x42, 0, 0x23),
    leb128(counter),
    Uint8Array.of(0x37, 0, 0, 0x42, 0, 0x42, 8, 0x10),
    leb128(append),
    Uint8Array.of(0x10),
    leb128(reply),
    Uint8Array.of(0x0b),
  ]);
}

function append(section: Section, item: Uint8Array): void {
  const reader = new Reader(section.content, 0, section.content.length);
  const count = reader.number();
  section.content = Buffer.concat([leb128(count + 1), section.content.subarray(reader.at), item]);
}

function rewriteBody(reader: Reader, counter: number): Uint8Array {
  const start = reader.at;
  skipLocals(reader);
  const pieces: Uint8Array[] = [reader.bytes.subarray(start, reader.at)];
  let block = reader.at;
  let length = 0;
  while (reader.at < reader.end) {
    const { opcode } = readInstruction(reader);
    length += 1;
    if (!BRANCHES.has(opcode)) continue;
    // global.get, i64.const, i64.add, global.set
    const index = leb128(counter);
    pieces.push(
      Uint8Array.of(0x23),
      index,
      Uint8Array.of(0x42),
      signed(length),
      Uint8Array.of(0x7c, 0x24),
      index,
    );
    pieces.push(reader.bytes.subarray(block, reader.at));
    block = reader.at;
    length = 0;
  }
  return Buffer.concat(pieces);
}

/** Signed LEB128 of a number that is not negative. */
function signed(value: number): Uint8Array {
  const bytes = leb128(value);
  // Bit 6 (0x40) of the last byte is the sign.
  if ((bytes.at(-1)! & 0x40) === 0) return bytes;
  return Uint8Array.from([...bytes.subarray(0, -1), bytes.at(-1)! | 0x80, 0]);
}
