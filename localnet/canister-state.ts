/**
 * Everything that a canister keeps between messages: its module and its memories.
 */
import { createHash } from "node:crypto";
import type { CanisterState, StateDelta } from "./message.ts";
import { type RewrittenModule, rewriteModule, unpackModule } from "./wasm-binary.ts";

export interface InstalledModule {
  /** SHA-256 of the module as it was sent to install_code. */
  readonly hash: Uint8Array;
  readonly rewritten: RewrittenModule;
  readonly functionExports: ReadonlySet<string>;
}

/** The module installed last. The same one is often installed again, in an upgrade or in another canister, and rewriting it takes a while. */
let latest: InstalledModule | undefined;

/** @param wasm plain, or compressed with gzip @throws InvalidModuleError */
export function installedModule(wasm: Uint8Array): InstalledModule {
  const hash = new Uint8Array(createHash("sha256").update(wasm).digest());
  if (latest === undefined || Buffer.compare(latest.hash, hash) !== 0) {
    const rewritten = rewriteModule(unpackModule(wasm));
    latest = { hash, rewritten, functionExports: new Set(rewritten.functionExports) };
  }
  return latest;
}

export function emptyState(): CanisterState {
  return { heap: new SharedArrayBuffer(0), heapLength: 0, globals: [], stable: { pages: 0, segments: [] } };
}

/**
 * A second state with the same contents, for an upgrade that may still fail. Stable memory segments are shared, so
 * a segment must be copied before it is written to. The heap is a copy, or empty when the upgrade does not keep it.
 */
export function forkState(state: CanisterState, withHeap: boolean): CanisterState {
  const heap = new SharedArrayBuffer(withHeap ? state.heapLength : 0);
  new Uint8Array(heap).set(new Uint8Array(state.heap, 0, heap.byteLength));
  return {
    heap,
    heapLength: heap.byteLength,
    globals: withHeap ? [...state.globals] : [],
    stable: { pages: state.stable.pages, segments: [...state.stable.segments] },
  };
}

/** Applies the changes of a committed message. */
export function applyDelta(state: CanisterState, delta: StateDelta): void {
  if (delta.heap !== undefined) state.heap = delta.heap;
  state.heapLength = delta.heapLength;
  state.globals = delta.globals;
  state.stable.pages = delta.stable.pages;
  for (const [index, segment] of delta.stable.segments) state.stable.segments[index] = segment;
}
