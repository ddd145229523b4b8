/**
 * Fetches a whole release in advance: every chunk ends up on disk, and every file's own SHA-256 is checked. Hydration goes on,
 * file by file, through any outage; readers' requests go first (lib/cache).
 *
 * What machines boot from comes first. The remaining files, and the parts of each file, start at a random point for each host:
 * otherwise a hundred hosts that start together behind one cache would all wait for the same chunk.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { FileReader, WrongFileError } from "../cache/file-reader.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { FILE_READER_CHUNKS } from "../readahead.ts";
import { OfflineError } from "../source/offline.ts";
import { ChangedError, WrongContentError } from "../source/source.ts";
import type { Chunk, Chunks, Tree, TreeFile } from "../tree/tree.ts";
import { isBootConfiguration, isBootLoader, namedBy } from "./boot-configuration.ts";

/** Loads chunks at low priority (lib/cache). */
export interface BackgroundChunks {
  /** @param keep whether to keep the chunk in memory as well as on disk */
  load(reference: Chunk, options: { keep: boolean }): Promise<Buffer>;
}

/** Progress, in files and in bytes of files. */
export interface Hydration {
  readonly files: number;
  readonly bytes: number;
  filesDone: number;
  bytesDone: number;
}

/** The pause before the next attempt after a failure: the network is away, and another part notices when it is back. */
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
/** A file that has changed is in the next release, which ends this hydration. If no such release comes, the other files go on. */
const MOST_CHANGES = 5;
/**
 * How many configurations are searched for files to fetch first. There may be one for each machine, all naming the same kernel.
 */
const MOST_CONFIGURATIONS = 50;

export class Hydrator {
  readonly #chunks: BackgroundChunks;
  readonly #keep: (tree: Tree) => boolean;
  readonly #log: Log;
  readonly #turn: number;

  /**
   * @param keep whether a tree's chunks stay in memory as well
   * @param turn where in a list this host starts: from 0, its start, to just below 1, its end
   */
  constructor(chunks: BackgroundChunks, keep: (tree: Tree) => boolean, log: Log, turn = Math.random()) {
    this.#chunks = chunks;
    this.#keep = keep;
    this.#log = log;
    this.#turn = turn;
  }

  /**
   * Resolves when every file of the tree that can be fetched is here.
   *
   * @param progress updated as hydration goes on
   * @throws WrongFileError when a file contradicts the manifest; OfflineError; AbortError
   */
  async hydrate(tree: Tree, progress: Hydration, signal: AbortSignal): Promise<void> {
    const keep = this.#keep(tree);
    // A new window each time, which remembers no earlier failure.
    const chunks = () => new Window(this.#chunks, keep);
    const rest = new Set(filesOf(tree));
    const fetch = async (files: readonly TreeFile[]) => {
      const those = files.filter((file) => rest.delete(file));
      const begin = Math.floor(this.#turn * those.length);
      const turned = [...those.slice(begin), ...those.slice(0, begin)];
      await this.#fetchAll(turned, { tree, chunks, progress, signal });
    };
    const configurations = [...rest].filter(isBootConfiguration).slice(0, MOST_CONFIGURATIONS);
    await fetch([...[...rest].filter(isBootLoader), ...configurations]);
    await fetch(await this.#namedBy(configurations, tree, chunks()));
    await fetch([...rest]);
  }

  /** The files named by these configurations, which have been fetched. */
  async #namedBy(configurations: readonly TreeFile[], tree: Tree, chunks: Chunks): Promise<TreeFile[]> {
    const named: TreeFile[] = [];
    for (const configuration of configurations) {
      try {
        named.push(...(await namedBy(configuration, tree, chunks)));
      } catch (error) {
        // Its files are merely fetched later.
        this.#log.debug(`${configuration.path}: ${messageOf(error)}`);
      }
    }
    return named;
  }

  /** Fetches files one after the other. @throws as hydrate() */
  async #fetchAll(files: readonly TreeFile[], { tree, chunks, progress, signal }: Fetching): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    let failing: string | undefined;
    let failures = 0;
    let done = 0;
    const count = (size: number) => {
      done += 1;
      progress.filesDone += 1;
      progress.bytesDone += size;
    };
    while (done < files.length) {
      const rest = files.slice(done);
      const reader = new FileReader(rest, tree.chunks, chunks());
      try {
        for (const [i, { size }] of rest.entries()) {
          await readWhole(reader, i, signal);
          count(size);
          pause = FIRST_PAUSE_MS;
        }
      } catch (error) {
        signal.throwIfAborted();
        const { path, size } = files[done]!;
        failures = failing === path ? failures + 1 : 1;
        failing = path;
        if (
          error instanceof WrongContentError ||
          (error instanceof ChangedError && failures > MOST_CHANGES)
        ) {
          // One bad file must not hold up all others.
          this.#log.error(`${path} cannot be read: ${messageOf(error)}`);
          count(size);
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

interface Fetching {
  readonly tree: Tree;
  readonly chunks: () => Chunks;
  readonly progress: Hydration;
  readonly signal: AbortSignal;
}

export function startOf(tree: Tree): Hydration {
  return { files: filesOf(tree).length, bytes: tree.bytes, filesDone: 0, bytesDone: 0 };
}

/** Whether hydration has come to its end: each file was fetched, or cannot be read. */
export function isDone(hydration: Hydration | undefined): boolean {
  return hydration !== undefined && hydration.filesDone === hydration.files;
}

/** @throws AbortError at once, even while a chunk is being loaded */
async function readWhole(reader: FileReader, index: number, signal: AbortSignal): Promise<void> {
  const read = async () => {
    for await (const _ of reader.read(index)) signal.throwIfAborted();
  };
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    await Promise.race([read(), aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function filesOf(tree: Tree): TreeFile[] {
  return tree.nodes.map(({ entry }) => entry).filter((entry) => entry.kind === "file");
}

/** The chunks that were loaded last: neighbours in a pack share a chunk, which is then loaded only once. */
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
      // The caller that reads the chunk gets the error.
    });
  }
}
