/**
 * A canister's memory at the last checkpoint: a file with each page at its place, and a checksum for each.
 *
 * A checkpoint writes the pages that have changed since the previous one to their places. If it is interrupted, the
 * file is neither the old memory nor the new one, but every page that may be wrong is still in the journal, which
 * overrides it. Pages that were never written are not in the file, and are zeros.
 */
import { closeSync, constants, existsSync, openSync, readSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import { damaged, FILE_MODE } from "./sealed-file.ts";

export const PAGE_BYTES = 65536;
/** Replaces the checksum of a page that is not in the file. */
const ABSENT = 0;

/** How a message, or an installation, changed a memory. */
export interface MemoryChange {
  /** Whether the memory is new, without its old content. */
  readonly isFresh: boolean;
  /** The pages that have changed. New pages of zeros need not be included. */
  readonly pages: readonly number[];
}

export class PageFile {
  readonly #file: string;
  #checksums: number[];
  /** Positions of pages in the journal; only the latest of each page. */
  readonly #journalled = new Map<number, number>();

  /** @param checksums as of the last checkpoint */
  constructor(file: string, checksums: Uint32Array) {
    this.#file = file;
    this.#checksums = Array.from(checksums);
  }

  get checksums(): Uint32Array {
    return Uint32Array.from(this.#checksums, (checksum) => checksum ?? ABSENT);
  }

  /** Records a change that is in the journal. @param position of its first page there */
  changed({ isFresh, pages }: MemoryChange, position: number): void {
    if (isFresh) {
      this.#checksums = [];
      this.#journalled.clear();
    }
    pages.forEach((page, index) => {
      this.#journalled.set(page, position + index * PAGE_BYTES);
    });
  }

  /**
   * Reads the memory.
   *
   * @param target where a page goes
   * @param readJournal reads from a position in the journal
   * @throws Error when the file is damaged
   */
  load(
    target: (page: number) => Uint8Array,
    readJournal: (into: Uint8Array, position: number) => void,
  ): void {
    const inFile = this.#checksums
      .map((checksum, page) => ({ checksum, page }))
      .filter(({ checksum, page }) => checksum !== ABSENT && !this.#journalled.has(page));
    if (inFile.length > 0) {
      if (!existsSync(this.#file)) throw damaged(this.#file, "it is missing");
      const fd = openSync(this.#file, "r");
      try {
        for (const { checksum, page } of inFile) {
          const bytes = target(page);
          const count = readSync(fd, bytes, 0, PAGE_BYTES, page * PAGE_BYTES);
          if (count !== PAGE_BYTES || checksumOf(bytes) !== checksum) {
            throw damaged(this.#file, `page ${page} is not as it was written`);
          }
        }
      } finally {
        closeSync(fd);
      }
    }
    for (const [page, position] of this.#journalled) readJournal(target(page), position);
  }

  /** Writes what is in the journal to its places. */
  writeBack(source: (page: number) => Uint8Array): void {
    if (this.#journalled.size === 0) return;
    const file = openSync(this.#file, constants.O_RDWR | constants.O_CREAT, FILE_MODE);
    try {
      for (const page of this.#journalled.keys()) {
        const bytes = source(page);
        for (let at = 0; at < PAGE_BYTES; ) {
          at += writeSync(file, bytes, at, PAGE_BYTES - at, page * PAGE_BYTES + at);
        }
        this.#checksums[page] = checksumOf(bytes);
      }
    } finally {
      closeSync(file);
    }
  }

  /** The journal has been emptied, since its content is in the file. */
  journalEmptied(): void {
    this.#journalled.clear();
  }
}

function checksumOf(page: Uint8Array): number {
  return crc32(page) || 1;
}
