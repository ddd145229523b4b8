/**
 * `--open whole`: a file can be opened once all of it is here and has its SHA-256. Some TFTP servers (tftpd-hpa) tell
 * their client that all went well when a read fails in the middle; once a file is open here, none can.
 */
import type { Hold } from "../cache/chunk-cache.ts";
import { FileReader } from "../cache/file-reader.ts";
import { type Chunk, type Chunks, keyOf, type Tree, type TreeFile } from "../tree/tree.ts";

/** The cache, as seen from here. */
export interface HoldingChunks extends Chunks {
  hold(): Hold;
}

/** Keeps chunks from being evicted, under a name of the caller's. */
export interface Pins {
  pin(name: string, keys: Iterable<string>): Promise<unknown>;
  unpin(name: string): Promise<void>;
}

export class WholeFiles {
  readonly #chunks: HoldingChunks;
  readonly #pins: Pins | undefined;
  readonly #deadline: number;
  /** Files that are open, and how often. */
  readonly #open = new Map<TreeFile, { readonly pin: string; readonly hold: Hold; count: number }>();
  #lastPin = 0;

  /** @param deadline milliseconds that opening may take */
  constructor(chunks: HoldingChunks, pins: Pins | undefined, deadline: number) {
    this.#chunks = chunks;
    this.#pins = pins;
    this.#deadline = deadline;
  }

  /** Resolves when all of the file is here; to be undone by `closed`. @throws Error when it cannot be had in time */
  async opening(file: TreeFile, tree: Tree): Promise<void> {
    const references = file.extents.map(({ chunk }) => tree.chunks[chunk]!);
    await this.#hold(file, tree, references);
    try {
      await this.#fetch(file, tree, references);
    } catch (error) {
      this.closed(file);
      throw error;
    }
  }

  closed(file: TreeFile): void {
    const open = this.#open.get(file);
    if (open === undefined) return;
    open.count -= 1;
    if (open.count > 0) return;
    this.#open.delete(file);
    open.hold.letGo();
    // Nobody waits for it; a pin that stays goes with this process.
    void this.#pins?.unpin(open.pin);
  }

  async #hold(file: TreeFile, tree: Tree, references: readonly Chunk[]): Promise<void> {
    const open = this.#open.get(file);
    if (open !== undefined) {
      open.count += 1;
      return;
    }
    this.#lastPin += 1;
    const pin = `open-${this.#lastPin}`;
    this.#open.set(file, { pin, hold: this.#chunks.hold(), count: 1 });
    await this.#pin(pin, tree, references);
  }

  /** Those whose hashes are known by now. */
  async #pin(name: string, tree: Tree, references: readonly Chunk[]): Promise<void> {
    const known = references.map((reference) => tree.known(reference));
    await this.#pins?.pin(name, known.filter(({ sha256 }) => sha256 !== undefined).map(keyOf));
  }

  async #fetch(file: TreeFile, tree: Tree, references: readonly Chunk[]): Promise<void> {
    const until = performance.now() + this.#deadline;
    const reader = new FileReader([file], tree.chunks, this.#chunks);
    const pieces = reader.read(0);
    for (;;) {
      const piece = await within(until - performance.now(), pieces.next());
      if (piece.done) break;
    }
    // Hashes that were not known before are.
    const { pin, hold } = this.#open.get(file)!;
    await this.#pin(pin, tree, references);
    for (const reference of references) {
      if (await within(until - performance.now(), hold.keep(reference))) continue;
      throw new Error("it is larger than the cache has room for: raise --max-cache-size, or --memory");
    }
  }
}

/** `work`, or an error when it takes more than so many milliseconds. */
async function within<T>(limit: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("not all of it is here within --open-timeout")), limit);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
