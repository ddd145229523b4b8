/**
 * Paths for a transport that knows files by their paths (libfuse 2): the kernel's pages belong to a path, and must
 * never be of two versions.
 *
 * - An open path keeps its version until its last handle is closed, whatever is released
 *   meanwhile. So two versions of a path are never open at once.
 * - libfuse (auto_cache) discards a path's pages when its time or size has changed. A new version
 *   that happens to have the same time and size is shown a millisecond younger. What was shown is remembered after the path was closed,
 *   since the kernel may keep pages for as long as it likes, and libfuse does not say when they are gone. So there is an entry for each
 *   path that was ever opened: as many as the releases served by this process have names.
 */

import { type Attributes, type FileSystem, type Inode, ROOT_INODE } from "../view/filesystem.ts";

/** What libfuse last saw of a path that has been open: the kernel may have pages of it. */
interface Shown {
  readonly inode: Inode;
  readonly size: number;
  /** Its time, and that which was shown, in nanoseconds. */
  readonly modified: bigint;
  readonly shown: bigint;
}

/** libfuse gets times in milliseconds. */
const MILLISECOND = 1_000_000n;

export class OpenPaths {
  readonly #fileSystem: FileSystem;
  readonly #open = new Map<string, { readonly inode: Inode; count: number }>();
  readonly #shown = new Map<string, Shown>();

  constructor(fileSystem: FileSystem) {
    this.#fileSystem = fileSystem;
  }

  /** @throws FsError ENOENT, ENOTDIR */
  resolve(path: string): Inode {
    const open = this.#open.get(path);
    if (open !== undefined) return open.inode;
    // Walked each time: a few lookups in memory, less than fuse-native itself spends on an operation.
    let inode = ROOT_INODE;
    for (const name of path.split("/")) {
      if (name !== "") inode = this.#fileSystem.lookup(inode, name);
    }
    return inode;
  }

  /** The attributes to show of a path. @throws FsError */
  getattr(path: string): Attributes {
    const attributes = this.#fileSystem.getattr(this.resolve(path));
    const before = this.#shown.get(path);
    if (before === undefined) return attributes;
    const { inode, size, modified } = attributes;
    let { shown } = before;
    if (inode !== before.inode || modified !== before.modified) {
      const looksTheSame = modified / MILLISECOND === shown / MILLISECOND && size === before.size;
      shown = looksTheSame ? modified + MILLISECOND : modified;
      this.#shown.set(path, { inode, size, modified, shown });
    }
    return { ...attributes, modified: shown };
  }

  /** A file will be opened; `closed` must follow when it is closed, or was not opened. @throws FsError */
  opening(path: string): Inode {
    const inode = this.resolve(path);
    const open = this.#open.get(path);
    if (open !== undefined) {
      open.count += 1;
    } else {
      if (!this.#shown.has(path)) {
        const { size, modified } = this.#fileSystem.getattr(inode);
        this.#shown.set(path, { inode, size, modified, shown: modified });
      }
      this.#open.set(path, { inode, count: 1 });
      this.#fileSystem.retain(inode);
    }
    return inode;
  }

  closed(path: string): void {
    const open = this.#open.get(path);
    if (open === undefined) return;
    open.count -= 1;
    if (open.count > 0) return;
    this.#open.delete(path);
    this.#fileSystem.forget(open.inode);
  }
}
