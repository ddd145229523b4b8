/**
 * A running canister module: its WebAssembly instance, and the committed state to which it can be restored.
 *
 * The committed main memory is one copy in shared memory. After a committed message, the pages that it changed are copied
 * there; after a discarded one, they are copied back. The module itself tracks which pages may have changed
 * (write-tracking.ts); if it cannot, all pages are compared, which takes a millisecond for about 15 MiB.
 *
 * Anything other than memory and numbers in globals, such as a table, is in its initial state at the start of each message. A
 * module whose code can change these gets a new instance for each message.
 *
 * A memory cannot shrink. So memory that a discarded message has added is zeroed. If the module sees only the tracked size
 * (write-tracking.ts), the added memory no longer belongs to its heap. Otherwise a new instance is needed, and copying a heap of
 * 100 MB into one takes 100 ms.
 */
import type { Callback, CanisterState, StateDelta, WasmValue } from "./message.ts";
import type { MessageContext } from "./message-context.ts";
import { StableMemory } from "./stable-memory.ts";
import { bindImports } from "./system-api.ts";
import {
  MEMORY_EXPORT,
  NOTES_EXPORT,
  type RewrittenModule,
  START_EXPORT,
  TABLE_EXPORT,
} from "./wasm-binary.ts";
import { NOTES_BYTES, SIZE_AT } from "./write-tracking.ts";

const PAGE = 65536;
const ZEROS = Buffer.alloc(PAGE);
/** Up to this limit, an instance keeps memory that discarded messages have added; if the module sees it, until the next message that can be committed. */
const MAX_LEFTOVER_BYTES = 64 * 1024 * 1024;
/** Room in the committed copy for the heap to grow without a new copy each time. It takes no memory until it is written to. */
const HEADROOM_BYTES = 256 * 1024 * 1024;

/** The table index for calls whose answer is ignored, as in Motoko's calls of methods that return nothing. */
const NO_FUNCTION = 0xffff_ffff;

type WasmFunction = (...values: WasmValue[]) => unknown;

export class CanisterInstance {
  readonly stable: StableMemory;
  readonly #module: RewrittenModule;
  readonly #compiled: WebAssembly.Module;
  /** Table indices are BigInt for a 64-bit table. */
  readonly #tableIndex: (index: WasmValue) => WasmValue;
  #heapCopy: SharedArrayBuffer;
  #heapLength: number;
  #globals: WasmValue[];
  #exports: WebAssembly.Instance["exports"] = {};
  #memory: WebAssembly.Memory | undefined;
  #heapView = new Uint8Array();
  /** A byte for each page of the heap that was written to since the last commit or restore. */
  #notes = new Uint8Array();
  /** One element, the tracked number of heap pages; no element without tracking. */
  #trackedPages = new Uint32Array();
  /** Bytes of a new instance's heap. */
  #initialLength = 0;
  /** Whether the tracking is complete, which it is not for a new instance. */
  #notesAreComplete = false;
  /** Whether a message may have changed something that is not saved, such as a table. */
  #isUsedUp = false;
  #context: MessageContext | undefined;
  /** Whether memory and globals may differ from the committed state. */
  #changed = false;
  /** False until the first message of a new module: there is no committed state yet. */
  #hasCommitted: boolean;

  /**
   * Instantiates the module over a canister's state.
   *
   * @param memory `restore`: as it was; `fresh`: as the module initialises it; `keep`: its old bytes, with the new module's
   * globals
   */
  constructor(
    module: RewrittenModule,
    state: CanisterState,
    memory: "restore" | "fresh" | "keep",
    copyOnWrite: boolean,
  ) {
    this.#module = module;
    this.#compiled = new WebAssembly.Module(module.binary);
    this.#tableIndex = module.table64 ? BigInt : Number;
    this.stable = new StableMemory(state.stable, copyOnWrite);
    this.#heapCopy = state.heap;
    this.#heapLength = state.heapLength;
    this.#globals = state.globals;
    this.#instantiate();
    this.#hasCommitted = memory === "restore";
    if (memory === "fresh") this.#heapLength = 0;
    else this.#restoreHeap();
    if (memory === "restore") this.#restoreGlobals();
  }

  /** The main memory's bytes; a view is valid until the canister runs again. */
  heap(): Uint8Array {
    if (this.#memory === undefined) return this.#heapView;
    const { buffer } = this.#memory;
    const [pages] = this.#trackedPages;
    const length = pages === undefined ? buffer.byteLength : pages * PAGE;
    // Growing a memory detaches its old buffer.
    if (this.#heapView.buffer !== buffer || this.#heapView.length !== length) {
      this.#heapView = new Uint8Array(buffer, 0, length);
    }
    return this.#heapView;
  }

  context(): MessageContext {
    if (this.#context === undefined) throw new Error("the system API was called while no message runs");
    return this.#context;
  }

  /** Runs the module's start function, if it has one, and then an exported function, if the module has that. */
  run(context: MessageContext, exportName: string, withStart: boolean): void {
    this.#execute(context, () => {
      if (withStart && this.#module.hasStart) (this.#exports[START_EXPORT] as WasmFunction)();
      const entry = this.#exports[exportName];
      if (typeof entry === "function") (entry as WasmFunction)();
    });
  }

  /** Runs a function of the table, unless the callback has none. */
  runCallback(context: MessageContext, callback: Callback): void {
    if (Number(callback.fun) === NO_FUNCTION) return;
    this.#execute(context, () => {
      const table = this.#exports[TABLE_EXPORT] as WebAssembly.Table;
      (table.get(this.#tableIndex(callback.fun)) as WasmFunction)(callback.env);
    });
  }

  /**
   * Restores the committed state.
   *
   * @param exactly restore the memory's size as well, if the canister can see it
   */
  restore(exactly: boolean): void {
    if (!this.#hasCommitted) return;
    const leftover = (this.#memory?.buffer.byteLength ?? 0) - this.#heapLength;
    const isSeen = exactly && !this.#module.tracksWrites;
    const tooLong = leftover > (isSeen ? 0 : MAX_LEFTOVER_BYTES);
    if (!this.#changed && !tooLong && !this.#isUsedUp) return;
    if (tooLong || this.#isUsedUp) this.#instantiate();
    this.#restoreHeap();
    this.#restoreGlobals();
    this.stable.rollback();
    this.#changed = false;
  }

  /** Commits the message's changes. */
  commit(): StateDelta {
    const heap = this.heap();
    const committed = this.#heapLength;
    let replaced: SharedArrayBuffer | undefined;
    if (heap.length > this.#heapCopy.byteLength) {
      replaced = new SharedArrayBuffer(heap.length + HEADROOM_BYTES);
      new Uint8Array(replaced).set(new Uint8Array(this.#heapCopy, 0, committed));
      this.#heapCopy = replaced;
    }
    const copy = Buffer.from(this.#heapCopy);
    const source = Buffer.from(heap.buffer, 0, heap.length);
    const changed: number[] = [];
    for (const page of this.#writtenPages(heap.length)) {
      const at = page * PAGE;
      // New pages are zero in the copy, and stay untouched if they are zero in the heap, so they take no memory yet.
      if (at >= committed && source.compare(ZEROS, 0, PAGE, at, at + PAGE) === 0) continue;
      if (copyIfChanged(source, copy, at)) changed.push(page);
    }
    this.#heapLength = heap.length;
    this.#globals = this.#module.globalExports.map(
      (name) => (this.#exports[name] as WebAssembly.Global).value,
    );
    this.#forgetNotes();
    this.#changed = false;
    this.#hasCommitted = true;
    return {
      heap: replaced,
      heapLength: this.#heapLength,
      heapPages: changed,
      globals: this.#globals,
      stable: this.stable.commit(),
    };
  }

  #execute(context: MessageContext, body: () => void): void {
    this.#context = context;
    this.#changed = true;
    this.#isUsedUp = !this.#module.isReusable;
    try {
      body();
    } finally {
      this.#context = undefined;
    }
  }

  #instantiate(): void {
    const imports = bindImports(this.#module.functionImports, {
      heap: () => this.heap(),
      context: () => this.context(),
      stable: this.stable,
      willWrite: (at, size) => this.#notes.fill(1, Math.floor(at / PAGE), Math.floor((at + size) / PAGE) + 1),
    });
    this.#exports = new WebAssembly.Instance(this.#compiled, imports).exports;
    this.#memory = this.#exports[MEMORY_EXPORT] as WebAssembly.Memory | undefined;
    const notes = this.#exports[NOTES_EXPORT] as WebAssembly.Memory | undefined;
    this.#notes = new Uint8Array(notes?.buffer ?? new ArrayBuffer(0), 0, notes && NOTES_BYTES);
    this.#trackedPages = new Uint32Array(notes?.buffer ?? new ArrayBuffer(0), notes && SIZE_AT, notes && 1);
    this.#initialLength = this.#memory?.buffer.byteLength ?? 0;
    this.#trackedPages.fill(this.#initialLength / PAGE);
    this.#notesAreComplete = false;
    this.#isUsedUp = false;
  }

  #restoreHeap(): void {
    if (this.#memory === undefined) return;
    const missing = (this.#heapLength - this.#memory.buffer.byteLength) / PAGE;
    if (missing > 0) this.#memory.grow(this.#module.memory64 ? BigInt(missing) : missing);
    this.#trackedPages.fill(Math.max(this.#initialLength, this.#heapLength) / PAGE);
    const target = Buffer.from(this.#memory.buffer);
    const source = Buffer.from(this.#heapCopy, 0, this.#heapLength);
    for (const page of this.#writtenPages(target.length)) {
      const at = page * PAGE;
      if (at < source.length) copyIfChanged(source, target, at);
      else target.fill(0, at, at + PAGE);
    }
    this.#forgetNotes();
  }

  /** The pages below `end` (bytes) that may differ from the committed copy. */
  *#writtenPages(end: number): Generator<number> {
    const pages = end / PAGE;
    if (!this.#notesAreComplete) {
      for (let page = 0; page < pages; page++) yield page;
      return;
    }
    let next = 0;
    for (let noted = this.#notes.indexOf(1); noted !== -1; noted = this.#notes.indexOf(1, noted + 1)) {
      // A write may have reached into the page after the tracked one.
      for (let page = Math.max(noted, next); page <= noted + 1 && page < pages; page++) yield page;
      next = noted + 2;
    }
  }

  #forgetNotes(): void {
    this.#notes.fill(0);
    this.#notesAreComplete = this.#module.tracksWrites;
  }

  #restoreGlobals(): void {
    this.#module.globalExports.forEach((name, index) => {
      (this.#exports[name] as WebAssembly.Global).value = this.#globals[index]!;
    });
  }
}

/** Makes the page at this offset of `target` equal to that of `source`. Writes only if they differ. @returns whether they did */
function copyIfChanged(source: Buffer, target: Buffer, at: number): boolean {
  const differs = source.compare(target, at, at + PAGE, at, at + PAGE) !== 0;
  if (differs) source.copy(target, at, at, at + PAGE);
  return differs;
}
