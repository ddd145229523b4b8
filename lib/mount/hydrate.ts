/**
 * Fetches a whole release before anybody asks for it: every chunk ends up on disk, and every file's own SHA-256 is
 * checked. It goes on, file by file, through any outage; what readers ask for goes first (lib/cache).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { FileReader, WrongFileError } from "../cache/file-reader.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { FILE_READER_CHUNKS } from "../readahead.ts";
import { OfflineError } from "../source/offline.ts";
import { ChangedError, WrongContentError } from "../source/source.ts";
import type { Chunk, Tree, TreeFile } from "../tree/tree.ts";

/** Chunks for somebody who is in no hurry, as seen from here (lib/cache). */
export interface BackgroundChunks {
  /** @param keep in memory as well as on disk */
  load(reference: Chunk, options: { keep: boolean }): Promise<Buffer>;
}

/** How far it has got, in files and bytes of them. */
export interface Hydration {
  readonly files: number;
  readonly bytes: number;
  filesDone: number;
  bytesDone: number;
}

/** After a failure, before the next attempt: the network is away, and somebody else will notice when it is back. */
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
/** A file that has changed is in the next release, which ends this: if that does not come, the others go on. */
const MOST_CHANGES = 5;

export class Hydrator {
  readonly #chunks: BackgroundChunks;
  readonly #keep: (tree: Tree) => boolean;
  readonly #log: Log;

  /** @param keep whether a tree's chunks stay in memory as well */
  constructor(chunks: BackgroundChunks, keep: (tree: Tree) => boolean, log: Log) {
    this.#chunks = chunks;
    this.#keep = keep;
    this.#log = log;
  }

  /**
   * Resolves when all of the tree is here that can be had.
   *
   * @param progress counted up as it goes on
   * @throws WrongFileError when a file is not what the manifest says; OfflineError; AbortError
   */
  async hydrate(tree: Tree, progress: Hydration, signal: AbortSignal): Promise<void> {
    const files = filesOf(tree);
    const keep = this.#keep(tree);
    let pause = FIRST_PAUSE_MS;
    let failing: string | undefined;
    let failures = 0;
    while (progress.filesDone < files.length) {
      const rest = files.slice(progress.filesDone);
      const reader = new FileReader(rest, tree.chunks, new Window(this.#chunks, keep));
      try {
        for (const [i, { size }] of rest.entries()) {
          await readWhole(reader, i, signal);
          progress.filesDone += 1;
          progress.bytesDone += size;
          pause = FIRST_PAUSE_MS;
        }
      } catch (error) {
        signal.throwIfAborted();
        const { path, size } = files[progress.filesDone]!;
        failures = failing === path ? failures + 1 : 1;
        failing = path;
        if (
          error instanceof WrongContentError ||
          (error instanceof ChangedError && failures > MOST_CHANGES)
        ) {
          // One such file must not keep all others waiting.
          this.#log.error(`${path} cannot be read: ${messageOf(error)}`);
          progress.filesDone += 1;
          progress.bytesDone += size;
          continue;
        }
        if (error instanceof OfflineError) throw error;
        if (error instanceof WrongFileError) throw new WrongFileError(`${path}: ${error.message}`);
        this.#log.debug(`hydration waits: ${path}: ${messageOf(error)}`);
        await sleep(pause * (0.5 + Math.random()), undefined, { signal });
        pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
      }
    }
  }
}

export function startOf(tree: Tree): Hydration {
  return { files: filesOf(tree).length, bytes: tree.bytes, filesDone: 0, bytesDone: 0 };
}

/** Whether all is here. */
export function isDone(hydration: Hydration | undefined): boolean {
  return hydration !== undefined && hydration.filesDone === hydration.files;
}

async function readWhole(reader: FileReader, index: number, signal: AbortSignal): Promise<void> {
  for await (const _ of reader.read(index)) signal.throwIfAborted();
}

function filesOf(tree: Tree): TreeFile[] {
  return tree.nodes.map(({ entry }) => entry).filter((entry) => entry.kind === "file");
}

/** The chunks that were asked for lately: neighbours in a pack share one, and it is not loaded for each of them. */
class Window {
  readonly #chunks: BackgroundChunks;
  readonly #keep: boolean;
  readonly #loads = new Map<Chunk, Promise<Buffer>>();

  constructor(chunks: BackgroundChunks, keep: boolean) {
    this.#chunks = chunks;
    this.#keep = keep;
  }

  get(reference: Chunk): Promise<Buffer> {
    let load = this.#loads.get(reference);
    if (load === undefined) {
      load = this.#chunks.load(reference, { keep: this.#keep });
      this.#loads.set(reference, load);
      const [oldest] = this.#loads.keys();
      if (this.#loads.size > FILE_READER_CHUNKS + 2) this.#loads.delete(oldest!);
    }
    return load;
  }

  prefetch(reference: Chunk): void {
    this.get(reference).catch(() => {
      // Whoever reads it is told.
    });
  }
}
