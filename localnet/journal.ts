/**
 * A canister's journal: a record for each change since the last checkpoint, appended before anybody learns of it.
 *
 * A record is a header, a value, and all of the memory pages that changed. Its bytes are written in order, and nothing is
 * ever written after an incomplete record. So if a process is killed, at worst the last record ends too early, and is
 * cut off. Anything else is damage. The header has its own checksum, since a wrong length
 * would otherwise make good records look like an incomplete one.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writevSync } from "node:fs";
import { deserialize, serialize } from "node:v8";
import { crc32 } from "node:zlib";
import { damaged } from "./sealed-file.ts";

/**
 * Little-endian: magic "ICLJ" (4 bytes), CRC-32 of the rest of the header (4), number (8), length of what follows the
 * header (8), CRC-32 of that (4), length of the value (4).
 */
const HEADER_BYTES = 32;
const MAGIC = 0x4a4c4349;
/** writev takes up to 1024 pieces. */
const MAX_PIECES = 512;
/** Bytes that are read at once to compute a checksum. */
const READ_BYTES = 1024 * 1024;

export interface JournalRecord {
  readonly number: number;
  readonly value: unknown;
  /** The position of the pages in the file, and their length in bytes. */
  readonly pagesAt: number;
  readonly pagesLength: number;
}

export class Journal {
  readonly file: string;
  readonly #fd: number;
  #length: number;

  /** Opens a journal, whose {@link records} must be read before something is appended. */
  constructor(file: string) {
    this.file = file;
    // A missing journal must not look like an empty one.
    this.#fd = openSync(file, constants.O_RDWR | constants.O_APPEND);
    this.#length = fstatSync(this.#fd).size;
  }

  /** Its size in bytes. */
  get length(): number {
    return this.#length;
  }

  /** Writes a record. When this throws, nothing more may be appended. */
  append(number: number, value: unknown, pages: readonly Uint8Array[]): void {
    const content = serialize(value);
    const header = Buffer.alloc(HEADER_BYTES);
    const length = pages.reduce((sum, page) => sum + page.length, content.length);
    header.writeUInt32LE(MAGIC, 0);
    header.writeBigUInt64LE(BigInt(number), 8);
    header.writeBigUInt64LE(BigInt(length), 16);
    header.writeUInt32LE(
      pages.reduce((sum, page) => crc32(page, sum), crc32(content)),
      24,
    );
    header.writeUInt32LE(content.length, 28);
    header.writeUInt32LE(crc32(header.subarray(8)), 4);
    const pieces = [header, content, ...pages];
    for (let at = 0; at < pieces.length; at += MAX_PIECES) this.#write(pieces.slice(at, at + MAX_PIECES));
  }

  /**
   * Reads every record, and cuts off one that is incomplete.
   *
   * @throws Error when the journal is damaged
   */
  *records(): Generator<JournalRecord> {
    const header = Buffer.alloc(HEADER_BYTES);
    for (let at = 0; at < this.#length; ) {
      const isHeader = this.#length - at >= HEADER_BYTES;
      if (isHeader) {
        this.read(header, at);
        const intact =
          header.readUInt32LE(0) === MAGIC && header.readUInt32LE(4) === crc32(header.subarray(8));
        if (!intact) throw damaged(this.file, `no record begins at byte ${at}`);
      }
      const length = isHeader ? Number(header.readBigUInt64LE(16)) : 0;
      if (!isHeader || at + HEADER_BYTES + length > this.#length) {
        ftruncateSync(this.#fd, at);
        this.#length = at;
        return;
      }
      const start = at + HEADER_BYTES;
      if (this.#checksum(start, length) !== header.readUInt32LE(24)) {
        throw damaged(this.file, `the record at byte ${at} has a wrong checksum`);
      }
      const content = Buffer.alloc(header.readUInt32LE(28));
      this.read(content, start);
      const pagesAt = start + content.length;
      const number = Number(header.readBigUInt64LE(8));
      yield { number, value: deserialize(content), pagesAt, pagesLength: length - content.length };
      at = start + length;
    }
  }

  /** Fills `target` from a position. */
  read(target: Uint8Array, position: number): void {
    for (let at = 0; at < target.length; ) {
      const count = readSync(this.#fd, target, at, target.length - at, position + at);
      if (count === 0) throw damaged(this.file, "it has become shorter");
      at += count;
    }
  }

  /** Forgets every record. */
  empty(): void {
    ftruncateSync(this.#fd, 0);
    this.#length = 0;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #write(pieces: Uint8Array[]): void {
    let left = pieces;
    while (left.length > 0) {
      let written = writevSync(this.#fd, left);
      this.#length += written;
      let whole = 0;
      while (whole < left.length && written >= left[whole]!.length) written -= left[whole++]!.length;
      left = left.slice(whole);
      if (written > 0) left[0] = left[0]!.subarray(written);
    }
  }

  #checksum(position: number, length: number): number {
    const buffer = Buffer.alloc(Math.min(READ_BYTES, length));
    let sum = 0;
    for (let at = 0; at < length; at += buffer.length) {
      const piece = buffer.subarray(0, Math.min(buffer.length, length - at));
      this.read(piece, position + at);
      sum = crc32(piece, sum);
    }
    return sum;
  }
}
