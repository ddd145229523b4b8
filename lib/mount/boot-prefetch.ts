/**
 * Fetches what a boot configuration names as soon as the configuration is opened: the kernel and the initrd will be read next.
 */
import pLimit from "p-limit";
import { messageOf } from "../errors.ts";
import { isBootConfiguration, namedBy } from "../live/boot-configuration.ts";
import type { BackgroundChunks } from "../live/hydrate.ts";
import type { Log } from "../log.ts";
import { BOOT_LOADS } from "../readahead.ts";
import type { Chunks, Tree, TreeFile } from "../tree/tree.ts";

/** Fetches the files that configurations name, in order, while the boot loader is still reading the configuration. */
export class BootPrefetch {
  readonly #chunks: Chunks & BackgroundChunks;
  readonly #log: Log;
  readonly #loads = pLimit(BOOT_LOADS);
  /** Configurations whose files have been requested. */
  readonly #raised = new WeakSet<TreeFile>();

  constructor(chunks: Chunks & BackgroundChunks, log: Log) {
    this.#chunks = chunks;
    this.#log = log;
  }

  /** A file of the tree was opened. It may be a configuration. */
  opened(file: TreeFile, tree: Tree): void {
    if (this.#raised.has(file) || !isBootConfiguration(file)) return;
    this.#raised.add(file);
    this.#fetchNamed(file, tree).catch((error) => this.#log.debug(`${file.path}: ${messageOf(error)}`));
  }

  async #fetchNamed(configuration: TreeFile, tree: Tree): Promise<void> {
    const files = await namedBy(configuration, tree, this.#chunks);
    if (files.length === 0) return;
    this.#log.debug(`${configuration.path} names ${files.map(({ path }) => path).join(", ")}`);
    const references = new Set(
      files.flatMap(({ extents }) => extents.map(({ chunk }) => tree.chunks[chunk]!)),
    );
    await Promise.all(
      Array.from(references, (reference) => this.#loads(() => this.#chunks.load(reference, { keep: true }))),
    );
  }
}
