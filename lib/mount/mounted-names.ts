/**
 * Lets mounts inside the mount outlive its switches. If a new release lacks a name on which something is mounted, or has
 * something else there, the name stays as it was until it is unmounted (lib/fs/view/inodes.ts). The log says so.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type InnerMount, innerMounts } from "../fs/mounting/inner-mounts.ts";
import type { Mount } from "../fs/mounting/mountinfo.ts";
import type { ServedRelease } from "../fs/view/inodes.ts";
import type { TreeFileSystem } from "../fs/view/tree-filesystem.ts";
import type { Log } from "../log.ts";
import { nameOf } from "../source/words.ts";

/** How often to check whether it has been unmounted. */
const LOOK_MS = 2000;

export class MountedNames {
  readonly #mount: Pick<Mount, "device">;
  readonly #fileSystem: Pick<TreeFileSystem, "stillMountedOn">;
  readonly #log: Log;
  readonly #above: string;
  /** Paths that differ from the live release. */
  #held: readonly string[] = [];
  /** Ids of mounts in other mount namespaces that are copies of mounts seen here earlier. */
  #copies: ReadonlySet<number> = new Set();
  #switches = 0;
  #isWatching = false;

  /** @param directory path of the file system in the mount; default: the whole mount */
  constructor(
    mount: Pick<Mount, "device">,
    fileSystem: Pick<TreeFileSystem, "stillMountedOn">,
    log: Log,
    directory = "",
  ) {
    this.#mount = mount;
    this.#fileSystem = fileSystem;
    this.#log = log;
    this.#above = directory === "" ? "" : `${directory}/`;
  }

  /**
   * Paths in the file system on which something is mounted now; its own directory is the empty path. A mount that was unmounted
   * here counts as unmounted: a process with a mount namespace of its own may hold a copy, unknowingly, for as long as it runs.
   */
  async paths(): Promise<string[]> {
    const mounts = await innerMounts(this.#mount);
    const here = new Set(mounts.filter(({ isHere }) => isHere).map(keyOf));
    const copies = this.#copies;
    const isCopy = (mount: InnerMount) => !mount.isHere && (here.has(keyOf(mount)) || copies.has(mount.id));
    this.#copies = new Set(mounts.filter(isCopy).map(({ id }) => id));
    const paths = mounts.filter((mount) => !isCopy(mount)).map(({ path }) => `${path}/`);
    const within = paths.filter((path) => path.startsWith(this.#above));
    return [...new Set(within.map((path) => path.slice(this.#above.length, -1)))];
  }

  /** A release has gone live. @param held paths that differ from it */
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
      // While /proc cannot be read, nobody knows.
      const paths = await this.paths().catch(() => undefined);
      if (paths === undefined) continue;
      // Something mounted just before a switch is missing from this list.
      if (switches !== this.#switches) continue;
      const before = this.#held;
      this.#held = this.#fileSystem.stillMountedOn(paths);
      for (const path of before) {
        if (this.#held.includes(path)) continue;
        this.#log.info(`${path} is as in the release again: what was mounted there was unmounted`);
      }
    }
    this.#isWatching = false;
  }
}

function keyOf({ path, what }: InnerMount): string {
  return `${what} ${path}`;
}
