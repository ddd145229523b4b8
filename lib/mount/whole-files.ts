/**
 * `--open whole`: a file opens only once all of it is here and its SHA-256 has been checked. Some TFTP servers (tftpd-hpa) report
 * success to their client even if a read fails midway; once such a file is open, no read can fail.
 */
import type { Hold } from "../cache/chunk-cache.ts";
import { FileReader } from "../cache/file-reader.ts";
import { before } from "../deadline.ts";
import { type Chunk, type Chunks, keyOf, type Tree, type TreeFile } from "../tree/tree.ts";

/** The cache that files are read from. */
export interface HoldingChunks extends Chunks {
  hold(): Hold;
}

/** Protects chunks from eviction, under a name that the caller chooses. */
export interface Pins {
  pin(name: string, keys: Iterable<string>): Promise<unknown>;
  unpin(name: string): Promise<void>;
}

/** A file that is open or being opened. */
interface Open {
  readonly file: TreeFile;
  readonly tree: Tree;
  /** Its chunks, each once. */
  readonly chunks: ReadonlySet<Chunk>;
  readonly pin: string;
  readonly hold: Hold;
  /** How many times it is open. */
  count: number;
  /** The fetch that all waiting openers share. */
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

  /** Resolves when all of the file is here. Each call is undone by `closed`. @throws Error when it cannot be fetched in time */
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
    // Not awaited: a leftover pin ends with this process.
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

  /** Reads the whole file, for everyone who has opened it by then. */
  async #fetch(open: Open): Promise<void> {
    const { file, tree, chunks, hold } = open;
    try {
      await this.#pin(open);
      const isWanted = () => {
        if (open.count === 0) throw new Error("nobody waits for it any more");
      };
      for await (const _ of new FileReader([file], tree.chunks, this.#chunks).read(0)) isWanted();
      // Hashes are known now that were not before.
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

  /** Pins the chunks whose hashes are known by now. */
  async #pin(open: Open): Promise<void> {
    const known = Array.from(open.chunks, (chunk) => open.tree.known(chunk));
    await this.#pins?.pin(open.pin, known.filter(({ sha256 }) => sha256 !== undefined).map(keyOf));
    // The file was closed in the meantime.
    if (open.count === 0) await this.#pins?.unpin(open.pin);
  }
}
