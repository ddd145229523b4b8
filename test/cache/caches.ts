/** Chunk caches for tests, over networks and disks that answer as a test wants. */
import { createHash } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { ChunkCache, type Disk } from "../../lib/cache/chunk-cache.ts";
import type { FetchChunk } from "../../lib/cache/fetch-scheduler.ts";
import { createLog } from "../../lib/log.ts";
import type { ChunkReference } from "../../lib/tree/manifest.ts";
import { type Chunk, keyOf } from "../../lib/tree/tree.ts";

export interface TestChunk {
  readonly reference: Chunk;
  readonly bytes: Buffer;
}

export function chunk(content: string): TestChunk {
  const bytes = Buffer.from(content);
  return { bytes, reference: { sha256: createHash("sha256").update(bytes).digest(), size: bytes.length } };
}

export const A = chunk("aaaa");
export const B = chunk("bbbb");

/** A FetchChunk that gives only the bytes. The fixture completes them with the requested chunk. */
export type FetchBytes = (...asked: Parameters<FetchChunk>) => Promise<Buffer>;

export interface Fixture {
  readonly cache: ChunkCache;
  /** The chunks that were requested from the source, in order. */
  readonly fetched: Chunk[];
  readonly logged: string[];
}

export function cacheOf(
  fetch: FetchBytes,
  {
    memory = 1000,
    readTimeout = 5000,
    disk,
    known = new Map(),
  }: {
    memory?: number;
    readTimeout?: number;
    disk?: Disk;
    /** For chunks that are listed without a hash: the chunk, with its hash, once it has been fetched. */
    known?: Map<Chunk, ChunkReference>;
  } = {},
): Fixture {
  const fetched: Chunk[] = [];
  const logged: string[] = [];
  const log = createLog("debug", (line) => logged.push(line));
  const counted: FetchChunk = async (reference, ...told) => {
    fetched.push(reference);
    const bytes = await fetch(reference, ...told);
    if (reference.sha256 !== undefined) return { chunk: reference, bytes };
    const chunk = { sha256: createHash("sha256").update(bytes).digest(), size: bytes.length };
    known.set(reference, chunk);
    return { chunk, bytes };
  };
  const source = { chunk: counted, known: (reference: Chunk) => known.get(reference) ?? reference };
  return {
    fetched,
    logged,
    cache: new ChunkCache(source, { memory, readTimeout, log, ...(disk && { disk }) }),
  };
}

/** Waits until answers have reached the readers that wait for them. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) await turn();
}

/** A network that has the given chunks, and answers at once. */
export function answering(...chunks: TestChunk[]): FetchBytes {
  return async (reference) => chunks.find((chunk) => chunk.reference === reference)!.bytes;
}

/** A disk that answers when the test tells it to. */
export function slowDisk() {
  const files = new Map<string, Buffer>();
  const waiting: { readonly what: string; readonly go: () => void }[] = [];
  const queue = (what: string) =>
    new Promise<void>((resolve) => {
      waiting.push({ what, go: resolve });
    });
  const disk: Disk = {
    async read(key) {
      // As with open(), the result is decided before the answer comes.
      const found = files.get(key);
      await queue("read");
      return found;
    },
    has: async (key) => files.has(key),
    async write(key, bytes) {
      await queue("write");
      files.set(key, bytes);
    },
    claim: async () => undefined,
  };
  /** Lets a waiting read or write go on, by default the oldest, and everything that depends on it. */
  const answer = async (what: "read" | "write", which = 0) => {
    const chosen = waiting.filter((one) => one.what === what)[which]!;
    waiting.splice(waiting.indexOf(chosen), 1);
    chosen.go();
    await settled();
  };
  const waits = (what: string) => waiting.filter((one) => one.what === what).length;
  return { disk, files, answer, waits };
}

/** A network that answers the oldest query when the test tells it to. */
export function slowNetwork() {
  const waiting: (() => void)[] = [];
  const fetch: FetchBytes = (reference) =>
    new Promise((resolve) => {
      waiting.push(() => resolve([A, B].find((chunk) => keyOf(chunk.reference) === keyOf(reference))!.bytes));
    });
  const answer = async () => {
    waiting.shift()!();
    await settled();
  };
  return { fetch, answer };
}
