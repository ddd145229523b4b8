/**
 * The part of JavaScript's WebAssembly interface that the local network uses. TypeScript has its types only together
 * with a browser's, and without 64-bit memories and tables, which take BigInt.
 */
declare namespace WebAssembly {
  type Value = number | bigint;
  type ExportValue = ((...values: Value[]) => unknown) | Memory | Table | Global;

  class Module {
    constructor(bytes: Uint8Array);
  }

  class Instance {
    constructor(
      module: Module,
      imports: Record<string, Record<string, (...values: Value[]) => Value | undefined>>,
    );
    readonly exports: Record<string, ExportValue>;
  }

  class Memory {
    readonly buffer: ArrayBuffer;
    grow(pages: Value): Value;
  }

  class Table {
    readonly length: Value;
    get(index: Value): unknown;
    set(index: Value, value: unknown): void;
  }

  class Global {
    value: Value;
  }

  class RuntimeError extends Error {}
}
