/**
 * Which inodes the kernel knows, and how often it has looked each up: it forgets an inode by that count. Requests for a known
 * inode must be answered.
 */

import { type Attributes, type FileSystem, type Inode, ROOT_INODE } from "../view/filesystem.ts";

export class Lookups {
  readonly #fileSystem: Pick<FileSystem, "retain" | "forget">;
  readonly #counts = new Map<Inode, number>();
  /** Those of them that are directories. */
  readonly #directories = new Set<Inode>();

  constructor(fileSystem: Pick<FileSystem, "retain" | "forget">) {
    this.#fileSystem = fileSystem;
  }

  /** How many inodes the kernel knows, not counting the root. */
  get size(): number {
    return this.#counts.size;
  }

  /** Those that are directories, including the root. */
  get directories(): Inode[] {
    return [ROOT_INODE, ...this.#directories];
  }

  /** The kernel learns of an inode. */
  add({ inode, kind }: Pick<Attributes, "inode" | "kind">): void {
    // The root is known from the start, and never forgotten.
    if (inode === ROOT_INODE) return;
    const count = this.#counts.get(inode) ?? 0;
    if (count === 0) {
      this.#fileSystem.retain(inode);
      if (kind === "directory") this.#directories.add(inode);
    }
    this.#counts.set(inode, count + 1);
  }

  /** The kernel has forgotten so many lookups of an inode. */
  forget(inode: Inode, times: number): void {
    const count = this.#counts.get(inode);
    // The kernel forgets only inodes that it knows.
    if (count === undefined) return;
    if (count > times) {
      this.#counts.set(inode, count - times);
    } else {
      this.#counts.delete(inode);
      this.#directories.delete(inode);
      this.#fileSystem.forget(inode);
    }
  }
}
