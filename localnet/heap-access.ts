/** The canister's memory, accessed by the addresses and sizes that the system API's functions get. */
import type { MessageContext } from "./message-context.ts";
import { TrapError, violation } from "./message-context.ts";
import type { StableMemory } from "./stable-memory.ts";

/** What the API works on: the instance's memories and the running message. */
export interface ApiHost {
  heap(): Uint8Array;
  /** Announces that the host is about to write to this range of the heap. */
  willWrite(at: number, size: number): void;
  stable: StableMemory;
  context(): MessageContext;
}

// biome-ignore lint/suspicious/noExplicitAny: each function has parameters of its own; bindImports passes them on.
export type ApiFunction = (...values: any[]) => unknown;

export interface HeapAccess {
  /** A view of the canister's memory; valid until the canister runs again. */
  view(at: number, size: number): Uint8Array;
  /** A view to write to. */
  target(at: number, size: number): Uint8Array;
  /** A copy. */
  bytes(at: number, size: number): Uint8Array;
  text(at: number, size: number): string;
  /** Copies a part of a blob to the canister. @param name of the function, for errors */
  copy(name: string, at: number, offset: number, size: number, source: Uint8Array): void;
  /** The pair of functions by which a canister reads a blob: `name`_size and `name`_copy. */
  blob(name: string, source: () => Uint8Array): Record<string, ApiFunction>;
}

export function heapAccess(host: ApiHost): HeapAccess {
  const view = (at: number, size: number): Uint8Array => {
    const heap = host.heap();
    if (at + size > heap.length) throw new TrapError("IC0502", "Canister trapped: heap out of bounds");
    return heap.subarray(at, at + size);
  };
  const target = (at: number, size: number): Uint8Array => {
    const found = view(at, size);
    host.willWrite(at, size);
    return found;
  };
  const copy = (name: string, at: number, offset: number, size: number, source: Uint8Array): void => {
    if (offset + size > source.length) throw violation(`"${name}" beyond the end of the data`);
    target(at, size).set(source.subarray(offset, offset + size));
  };
  return {
    view,
    target,
    bytes: (at, size) => view(at, size).slice(),
    text: (at, size) => Buffer.from(view(at, size)).toString("utf8"),
    copy,
    blob: (name, source) => ({
      [`${name}_size`]: () => source().length,
      [`${name}_copy`]: (at: number, offset: number, size: number) =>
        copy(`${name}_copy`, at, offset, size, source()),
    }),
  };
}
