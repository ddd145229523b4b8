/**
 * `--open whole`: a file can be opened once all of it is here and has its SHA-256. Some TFTP servers (tftpd-hpa) tell
 * their client that all went well when a read fails in the middle; once a file is open here, none can.
 */
import type { Hold } from "../cache/chunk-cache.ts";
import { FileReader } from "../cache/file-reader.ts";
import { before } from "../deadline.ts";
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

/** A file that is open, or that somebody waits for. */
interface Open {
  readonly file: TreeFile;
  readonly tree: Tree;
  /** Its chunks, each once. */
  readonly chunks: ReadonlySet<Chunk>;
  readonly pin: string;
  readonly hold: Hold;
  /** How often it is open. */
  count: number;
  /** Under way for all who wait for it. */
  fetch: Promise<void> | undefined;
}

export class WholeFiles {
  readonly #chunks: HoldingChunks;
  readonly #pins: Pins | undefined;
  readonly #deadline: number;
  readonly #open = new Map<TreeFile, Open>();
  #lastPin = 0;

  /** @param deadline milliseconds that opening may take */
  constructor(chunks: HoldingChunks, pins: Pins | undefined, deadline: number) {
    this.#chunks = chunks;
    this.#pins = pins;
    this.#deadline = deadline;
  }

  /** Resolves when all of the file is here; to be undone by `closed`. @throws Error when it cannot be had in time */
  async opening(file: TreeFile, tree: Tree): Promise<void> {
    const open = this.#open.get(file) ?? this.#first(file, tree);
    open.count += 1;
    try {
      open.fetch ??= this.#fetch(open);
      const deadline = performance.now() + this.#deadline;
      await before(deadline, open.fetch, "not all of it is here within --open-timeout");
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

  #first(file: TreeFile, tree: Tree): Open {
    this.#lastPin += 1;
    const open: Open = {
      file,
      tree,
      chunks: new Set(file.extents.map(({ chunk }) => tree.chunks[chunk]!)),
      pin: `open-${this.#lastPin}`,
      hold: this.#chunks.hold(),
      count: 0,
      fetch: undefined,
    };
    this.#open.set(file, open);
    return open;
  }

  /** Reads all of it, for all who have it open by then. */
  async #fetch(open: Open): Promise<void> {
    const { file, tree, chunks, hold } = open;
    try {
      await this.#pin(open);
      const isWanted = () => {
        if (open.count === 0) throw new Error("nobody waits for it any more");
      };
      for await (const _ of new FileReader([file], tree.chunks, this.#chunks).read(0)) isWanted();
      // Hashes that were not known before are.
      await this.#pin(open);
      for (const chunk of chunks) {
        isWanted();
        if (await hold.keep(chunk)) continue;
        throw new Error("it is larger than the cache has room for: raise --max-cache-size, or --memory");
      }
    } finally {
      open.fetch = undefined;
    }
  }

  /** Those whose hashes are known by now. */
  async #pin(open: Open): Promise<void> {
    const known = Array.from(open.chunks, (chunk) => open.tree.known(chunk));
    await this.#pins?.pin(open.pin, known.filter(({ sha256 }) => sha256 !== undefined).map(keyOf));
    // It was closed meanwhile.
    if (open.count === 0) await this.#pins?.unpin(open.pin);
  }
}
