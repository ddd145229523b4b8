/**
 * A running canister module: its WebAssembly instance, and beside it the committed state it can be brought back to.
 *
 * The committed main memory is one copy in shared memory. After a message that stays, the pages it changed are copied
 * there; after one that must leave nothing behind, they are copied back. Comparing a page costs less than a
 * microsecond, so both take a few milliseconds for a heap of tens of MiB, and no memory is allocated for either.
 */
import type { Callback, CanisterState, StateDelta, WasmValue } from "./message.ts";
import type { MessageContext } from "./message-context.ts";
import { StableMemory } from "./stable-memory.ts";
import { bindImports } from "./system-api.ts";
import { MEMORY_EXPORT, type RewrittenModule, START_EXPORT, TABLE_EXPORT } from "./wasm-binary.ts";

const PAGE = 65536;
const ZEROS = new Uint8Array(PAGE);
/**
 * A memory cannot shrink. What discarded messages have added to it is only zeroed, as making a new instance takes long,
 * until it is more than this; before a message that stays, it goes in any case.
 */
const MAX_LEFTOVER_BYTES = 64 * 1024 * 1024;
/** Room in the committed copy for the heap to grow without a new copy each time. */
const HEADROOM = 1.25;

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
  /** The table as instantiated: like the IC, every message starts with it. */
  #table: unknown[] = [];
  #context: MessageContext | undefined;
  /** Whether memory and globals may differ from the committed state. */
  #changed = false;
  /** False until the first message under a new module: there is nothing to go back to. */
  #hasCommitted: boolean;

  /**
   * Instantiates the module over a canister's state.
   *
   * @param memory `restore`: as it was; `fresh`: as the module makes it; `keep`: its bytes, with the module's globals
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
    // Growing a memory detaches its old buffer.
    if (this.#heapView.buffer !== this.#memory.buffer) this.#heapView = new Uint8Array(this.#memory.buffer);
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

  /** Runs a function in the table. */
  runCallback(context: MessageContext, callback: Callback): void {
    this.#execute(context, () => {
      const table = this.#exports[TABLE_EXPORT] as WebAssembly.Table;
      (table.get(this.#tableIndex(callback.fun)) as WasmFunction)(callback.env);
    });
  }

  /**
   * Brings the instance back to the committed state.
   *
   * @param exactly the memory's size as well, which a canister can see
   */
  restore(exactly: boolean): void {
    if (!this.#hasCommitted) return;
    const leftover = this.heap().length - this.#heapLength;
    const tooLong = leftover > (exactly ? 0 : MAX_LEFTOVER_BYTES);
    if (!this.#changed && !tooLong) return;
    if (tooLong) this.#instantiate();
    this.#restoreHeap();
    this.#restoreGlobals();
    this.#restoreTable();
    this.stable.rollback();
    this.#changed = false;
  }

  /** Makes what the message did the committed state. */
  commit(): StateDelta {
    const heap = this.heap();
    let replaced: SharedArrayBuffer | undefined;
    let compared = this.#heapLength;
    if (heap.length > this.#heapCopy.byteLength) {
      replaced = new SharedArrayBuffer(Math.ceil((heap.length * HEADROOM) / PAGE) * PAGE);
      this.#heapCopy = replaced;
      compared = 0;
    }
    const copy = Buffer.from(this.#heapCopy);
    copyChangedPages(Buffer.from(heap.buffer, 0, heap.length), copy, compared);
    copy.set(heap.subarray(compared), compared);
    this.#heapLength = heap.length;
    this.#globals = this.#module.globalExports.map(
      (name) => (this.#exports[name] as WebAssembly.Global).value,
    );
    this.#restoreTable();
    this.#changed = false;
    this.#hasCommitted = true;
    return {
      heap: replaced,
      heapLength: this.#heapLength,
      globals: this.#globals,
      stable: this.stable.commit(),
    };
  }

  #execute(context: MessageContext, body: () => void): void {
    this.#context = context;
    this.#changed = true;
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
    });
    this.#exports = new WebAssembly.Instance(this.#compiled, imports).exports;
    this.#memory = this.#exports[MEMORY_EXPORT] as WebAssembly.Memory | undefined;
    const table = this.#exports[TABLE_EXPORT] as WebAssembly.Table | undefined;
    this.#table = Array.from({ length: Number(table?.length ?? 0) }, (_, index) =>
      table!.get(this.#tableIndex(index)),
    );
  }

  #restoreHeap(): void {
    if (this.#memory === undefined) return;
    const missing = (this.#heapLength - this.heap().length) / PAGE;
    if (missing > 0) this.#memory.grow(this.#module.memory64 ? BigInt(missing) : missing);
    const heap = this.heap();
    const target = Buffer.from(heap.buffer, 0, heap.length);
    copyChangedPages(Buffer.from(this.#heapCopy), target, this.#heapLength);
    for (let at = this.#heapLength; at < target.length; at += PAGE) {
      if (target.compare(ZEROS, 0, PAGE, at, at + PAGE) !== 0) target.fill(0, at, at + PAGE);
    }
  }

  #restoreGlobals(): void {
    this.#module.globalExports.forEach((name, index) => {
      (this.#exports[name] as WebAssembly.Global).value = this.#globals[index]!;
    });
  }

  #restoreTable(): void {
    const table = this.#exports[TABLE_EXPORT] as WebAssembly.Table | undefined;
    this.#table.forEach((entry, index) => {
      const at = this.#tableIndex(index);
      if (table!.get(at) !== entry) table!.set(at, entry);
    });
  }
}

/** Makes the first `length` bytes of `target` equal to those of `source`, writing only to pages that differ. */
function copyChangedPages(source: Buffer, target: Buffer, length: number): void {
  for (let at = 0; at < length; at += PAGE) {
    const end = Math.min(at + PAGE, length);
    if (source.compare(target, at, end, at, end) !== 0) source.copy(target, at, at, end);
  }
}
