/**
 * One canister in the state directory: a checkpoint, the journal of later changes, the two memories as of
 * the checkpoint, the module, and the chunk store.
 *
 * Each change is written twice: to the journal at once, and again at the next checkpoint. Nothing calls
 * fsync: written data survives the end of the process. A power cut is out of scope. Everything is synchronous, so an
 * answer cannot overtake its record.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { emptyState, type InstalledModule, installedModule } from "./canister-state.ts";
import { HashedFiles } from "./hashed-files.ts";
import { Journal } from "./journal.ts";
import type { CanisterState, Variable, WasmValue } from "./message.ts";
import { type MemoryChange, PAGE_BYTES, PageFile } from "./page-file.ts";
import { damaged, FILE_MODE, readSealed, UNFINISHED, writeSealed } from "./sealed-file.ts";
import { SEGMENT_PAGES } from "./stable-memory.ts";

/** What is kept of a canister besides the bytes of its memories, its module and its chunks. */
export interface KeptCanister {
  readonly controllers: Uint8Array[];
  readonly status: "running" | "stopping" | "stopped";
  readonly cycles: bigint;
  /** Seconds; absent in directories from before freezing. */
  readonly freezingThreshold?: bigint;
  readonly version: bigint;
  readonly certifiedData: Uint8Array;
  readonly globalTimer: bigint;
  /** Absent in directories from before environment variables. */
  readonly variables?: Variable[];
  /** SHA-256 of the module, as it was sent. */
  readonly moduleHash: Uint8Array | undefined;
  /** The SHA-256 hashes in its chunk store, in hexadecimal; absent in directories from before chunk stores. */
  readonly chunks?: readonly string[];
  readonly heapLength: number;
  readonly globals: WasmValue[];
  readonly stablePages: number;
}

export interface SavedCanister {
  readonly kept: KeptCanister;
  readonly module: InstalledModule | undefined;
  readonly state: CanisterState | undefined;
  readonly chunks: Uint8Array[];
}

export interface StateChange {
  readonly heap: MemoryChange;
  readonly stable: MemoryChange;
}

export const NO_CHANGE: StateChange = {
  heap: { isFresh: false, pages: [] },
  stable: { isFresh: false, pages: [] },
};
export const ALL_GONE: StateChange = {
  heap: { isFresh: true, pages: [] },
  stable: { isFresh: true, pages: [] },
};

interface Checkpoint {
  /** The last record that it includes. */
  readonly number: number;
  readonly kept: KeptCanister;
  readonly heap: Uint32Array;
  readonly stable: Uint32Array;
}

interface RecordValue {
  readonly kept: KeptCanister;
  readonly heap: { isFresh: boolean; pages: Uint32Array };
  readonly stable: { isFresh: boolean; pages: Uint32Array };
}

/**
 * A longer journal becomes a checkpoint. This bounds the disk space (in addition to the memories), and what a start has
 * to read twice; writing this much takes a tenth of a second, during which the network answers nobody.
 */
const MAX_JOURNAL_BYTES = 64 * 1024 * 1024;
const CHECKPOINT = "checkpoint";
const JOURNAL = "journal";

export class CanisterStore {
  readonly #directory: string;
  readonly #journal: Journal;
  readonly #heap: PageFile;
  readonly #stable: PageFile;
  readonly #modules: HashedFiles;
  readonly #chunks: HashedFiles;
  /** Why nothing more can be kept, if that is the case. */
  #ended: Error | undefined;
  #number: number;
  #kept: KeptCanister;

  /** Opens what {@link createStore} has made. @throws Error when it is damaged */
  constructor(directory: string) {
    this.#directory = directory;
    const file = join(directory, CHECKPOINT);
    const checkpoint = readSealed(file) as Checkpoint | undefined;
    if (checkpoint === undefined) throw damaged(file, "it is missing");
    this.#number = checkpoint.number;
    this.#kept = checkpoint.kept;
    this.#heap = new PageFile(join(directory, "heap"), checkpoint.heap);
    this.#stable = new PageFile(join(directory, "stable"), checkpoint.stable);
    this.#modules = new HashedFiles(directory, "module-", ".wasm");
    this.#chunks = new HashedFiles(directory, "chunk-", "");
    const journal = join(directory, JOURNAL);
    if (!existsSync(journal)) throw damaged(journal, "it is missing");
    this.#journal = new Journal(journal);
    try {
      this.#replay();
    } catch (error) {
      this.#journal.close();
      throw error;
    }
  }

  /** Reads the canister; called once, right after it was opened. @throws Error when it is damaged */
  load(): SavedCanister {
    const { moduleHash, heapLength, globals, stablePages } = this.#kept;
    const chunks = (this.#kept.chunks ?? []).map((hash) => this.#chunks.read(hash));
    if (moduleHash === undefined) return { kept: this.#kept, module: undefined, state: undefined, chunks };
    const state = emptyState();
    state.heap = new SharedArrayBuffer(heapLength);
    state.heapLength = heapLength;
    state.globals = globals;
    state.stable.pages = stablePages;
    const readJournal = (into: Uint8Array, position: number) => this.#journal.read(into, position);
    this.#heap.load((page) => heapPage(state, page), readJournal);
    this.#stable.load((page) => stablePage(state, page), readJournal);
    const module = installedModule(this.#modules.read(hex(moduleHash)));
    return { kept: this.#kept, module, state, chunks };
  }

  /** Keeps a module that the next record will name. */
  addModule(wasm: Uint8Array, hash: Uint8Array): void {
    this.#modules.write(hex(hash), wasm);
  }

  /** Keeps a chunk that the next record will name. */
  addChunk(chunk: Uint8Array, hash: string): void {
    this.#chunks.write(hash, chunk);
  }

  /**
   * Records a change. Without memory in the change, this may happen while the canister runs another message.
   *
   * @param state the state after the change
   */
  append(kept: KeptCanister, change: StateChange, state: CanisterState | undefined): void {
    if (this.#ended !== undefined) throw this.#ended;
    const { heap, stable } = change;
    const value: RecordValue = {
      kept,
      heap: { isFresh: heap.isFresh, pages: Uint32Array.from(heap.pages) },
      stable: { isFresh: stable.isFresh, pages: Uint32Array.from(stable.pages) },
    };
    const pages = [
      ...heap.pages.map((page) => heapPage(state!, page)),
      ...stable.pages.map((page) => stablePage(state!, page)),
    ];
    this.#finish(() => this.#journal.append(this.#number + 1, value, pages));
    this.#number += 1;
    const pagesAt = this.#journal.length - pages.length * PAGE_BYTES;
    this.#noteChange(value, pagesAt);
    const before = this.#kept;
    this.#kept = kept;
    if (hex(before.moduleHash) !== hex(kept.moduleHash)) this.#modules.keepOnly([hex(kept.moduleHash)]);
    if (before.chunks !== kept.chunks) this.#chunks.keepOnly(kept.chunks ?? []);
  }

  /** Makes a checkpoint if the journal is long enough. Only while the canister is not running, because its memories are read. */
  compact(state: CanisterState | undefined): void {
    if (this.#ended !== undefined || this.#journal.length < MAX_JOURNAL_BYTES) return;
    this.#finish(() => {
      this.#heap.writeBack((page) => heapPage(state!, page));
      this.#stable.writeBack((page) => stablePage(state!, page));
      const { checksums: heap } = this.#heap;
      const { checksums: stable } = this.#stable;
      const checkpoint: Checkpoint = { number: this.#number, kept: this.#kept, heap, stable };
      writeSealed(join(this.#directory, CHECKPOINT), checkpoint);
      this.#journal.empty();
    });
    this.#heap.journalEmptied();
    this.#stable.journalEmptied();
  }

  close(): void {
    this.#ended ??= new Error("the network has ended");
    this.#journal.close();
  }

  /** Removes the canister from the state directory. */
  remove(): void {
    this.close();
    removeStore(this.#directory);
  }

  /** Runs a write. If it fails, nothing more may be written. */
  #finish(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#ended = error as Error;
      throw error;
    }
  }

  #replay(): void {
    let checkpointed = true;
    let previous: number | undefined;
    for (const { number, value, pagesAt, pagesLength } of this.#journal.records()) {
      const isNext = number === (previous ?? this.#number) + 1;
      // A checkpoint that was interrupted at its very end has not emptied the journal.
      const isOld = number <= this.#number && (previous === undefined || isNext);
      if (!isNext && !isOld) throw damaged(this.#journal.file, `record ${number} is out of order`);
      previous = number;
      if (number <= this.#number) continue;
      const record = value as RecordValue;
      const pages = record.heap.pages.length + record.stable.pages.length;
      if (pagesLength !== pages * PAGE_BYTES) throw damaged(this.#journal.file, "a record lacks pages");
      this.#noteChange(record, pagesAt);
      this.#kept = record.kept;
      this.#number = number;
      checkpointed = false;
    }
    if (checkpointed) this.#journal.empty();
    this.#modules.keepOnly([hex(this.#kept.moduleHash)]);
    this.#chunks.keepOnly(this.#kept.chunks ?? []);
  }

  #noteChange({ heap, stable }: RecordValue, pagesAt: number): void {
    this.#heap.changed({ isFresh: heap.isFresh, pages: Array.from(heap.pages) }, pagesAt);
    const stableAt = pagesAt + heap.pages.length * PAGE_BYTES;
    this.#stable.changed({ isFresh: stable.isFresh, pages: Array.from(stable.pages) }, stableAt);
  }
}

/** Makes a canister's directory, complete or not at all. */
export function createStore(directory: string, kept: KeptCanister): CanisterStore {
  const unfinished = directory + UNFINISHED;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { mode: 0o700 });
  const nothing = new Uint32Array();
  const checkpoint: Checkpoint = { number: 0, kept, heap: nothing, stable: nothing };
  writeSealed(join(unfinished, CHECKPOINT), checkpoint);
  writeFileSync(join(unfinished, JOURNAL), "", { mode: FILE_MODE });
  renameSync(unfinished, directory);
  return new CanisterStore(directory);
}

/** Removes a canister's directory; if interrupted, only rubbish is left. */
function removeStore(directory: string): void {
  const unfinished = directory + UNFINISHED;
  renameSync(directory, unfinished);
  rmSync(unfinished, { recursive: true });
}

function hex(hash: Uint8Array | undefined): string {
  return Buffer.from(hash ?? []).toString("hex");
}

function heapPage(state: CanisterState, page: number): Uint8Array {
  return new Uint8Array(state.heap, page * PAGE_BYTES, PAGE_BYTES);
}

/** A page of stable memory, with its segment. */
function stablePage({ stable }: CanisterState, page: number): Uint8Array {
  const index = Math.floor(page / SEGMENT_PAGES);
  stable.segments[index] ??= new SharedArrayBuffer(SEGMENT_PAGES * PAGE_BYTES);
  return new Uint8Array(stable.segments[index], (page % SEGMENT_PAGES) * PAGE_BYTES, PAGE_BYTES);
}
