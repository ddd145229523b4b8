/**
 * What is mounted inside of a mount outlives its switches. Where a new release has no more what something is mounted on, or has it
 * otherwise, the name stays what it was until that is unmounted (lib/fs/view/inodes.ts); the log says so.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type InnerMount, innerMounts } from "../fs/mounting/inner-mounts.ts";
import type { Mount } from "../fs/mounting/mountinfo.ts";
import type { ServedRelease } from "../fs/view/inodes.ts";
import type { TreeFileSystem } from "../fs/view/tree-filesystem.ts";
import type { Log } from "../log.ts";
import { nameOf } from "../source/words.ts";

/** How often to look whether it has been unmounted. */
const LOOK_MS = 2000;

export class MountedNames {
  readonly #mount: Pick<Mount, "device">;
  readonly #fileSystem: Pick<TreeFileSystem, "stillMountedOn">;
  readonly #log: Log;
  /** Paths that are not what the live release says. */
  #held: readonly string[] = [];
  /** Copies, in other mount namespaces, of mounts that were here when these were last seen: their ids. */
  #copies: ReadonlySet<number> = new Set();
  #switches = 0;
  #isWatching = false;

  constructor(mount: Pick<Mount, "device">, fileSystem: Pick<TreeFileSystem, "stillMountedOn">, log: Log) {
    this.#mount = mount;
    this.#fileSystem = fileSystem;
    this.#log = log;
  }

  /**
   * Paths on which something is mounted now. What has been unmounted here is unmounted: a process with a mount namespace of its own may
   * have a copy, without knowing of it, for as long as it runs.
   */
  async paths(): Promise<string[]> {
    const mounts = await innerMounts(this.#mount);
    const here = new Set(mounts.filter(({ isHere }) => isHere).map(keyOf));
    const copies = this.#copies;
    const isCopy = (mount: InnerMount) => !mount.isHere && (here.has(keyOf(mount)) || copies.has(mount.id));
    this.#copies = new Set(mounts.filter(isCopy).map(({ id }) => id));
    return [...new Set(mounts.filter((mount) => !isCopy(mount)).map(({ path }) => path))];
  }

  /** A release has gone live. @param held paths that are not what it says */
  switched(held: readonly string[], { release, tree }: ServedRelease): void {
    this.#switches += 1;
    this.#held = held;
    for (const path of held) {
      const stays = "something is mounted on it, and until that is unmounted it stays what it was";
      if (tree.find(path) === undefined)
        this.#log.warn(`${nameOf(release)} has no ${path} any more: ${stays}`);
      else this.#log.info(`${nameOf(release)} has another ${path}: ${stays}`);
    }
    if (held.length > 0 && !this.#isWatching) void this.#watch();
  }

  async #watch(): Promise<void> {
    this.#isWatching = true;
    while (this.#held.length > 0) {
      await sleep(LOOK_MS, undefined, { ref: false });
      const switches = this.#switches;
      const paths = await this.paths();
      // What was mounted just before a switch is not among them.
      if (switches !== this.#switches) continue;
      const before = this.#held;
      this.#held = this.#fileSystem.stillMountedOn(paths);
      for (const path of before) {
        if (!this.#held.includes(path)) this.#log.info(`${path} is what the release says: it was unmounted`);
      }
    }
    this.#isWatching = false;
  }
}

function keyOf({ path, what }: InnerMount): string {
  return `${what} ${path}`;
}
