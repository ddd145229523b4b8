/** Directories that are being listed: each listing is of one release, however many requests it takes. */

import { type FileSystem, type Inode, ROOT_INODE } from "../filesystem.ts";
import type { MountOptions } from "../mount-options.ts";
import type { Lookups } from "./lookups.ts";
import { type DirectoryItem, itemBytes, type ReadRequest, type Validity, writeItem } from "./protocol.ts";

interface Listing {
  readonly entries: readonly Omit<DirectoryItem, "next">[];
  /** The release has been switched since it was opened. */
  outdated: boolean;
}

/** The most that one answer takes, whatever the kernel has room for. */
const MOST_BYTES = 1024 * 1024;

export class Directories {
  readonly #fileSystem: FileSystem;
  readonly #options: MountOptions;
  readonly #lookups: Lookups;
  readonly #open = new Map<number, Listing>();
  #last = 0;

  constructor(fileSystem: FileSystem, options: MountOptions, lookups: Lookups) {
    this.#fileSystem = fileSystem;
    this.#options = options;
    this.#lookups = lookups;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Returns a handle. @throws FsError */
  open(inode: Inode): number {
    const entries = this.#fileSystem.readdir(inode).map(({ name, ...rest }) => ({
      name: Buffer.from(name),
      ...rest,
    }));
    this.#last += 1;
    const own = { name: Buffer.from("."), inode, kind: "directory" } as const;
    // The kernel knows better what is above; it only must not be 0.
    const above = { name: Buffer.from(".."), inode: ROOT_INODE, kind: "directory" } as const;
    this.#open.set(this.#last, { entries: [own, above, ...entries], outdated: false });
    return this.#last;
  }

  /** The release has been switched: the kernel must not take a listing from before for what names mean now. */
  switched(): void {
    for (const listing of this.#open.values()) listing.outdated = true;
  }

  release(handle: number): void {
    this.#open.delete(handle);
  }

  /**
   * As much of a listing as there is room for; nothing at its end. Offsets count entries.
   * @param valid with attributes (READDIRPLUS), which count as a lookup of each; undefined: without
   */
  read({ handle, offset, size }: ReadRequest, valid: Validity | undefined): Buffer | undefined {
    const listing = this.#open.get(handle);
    if (listing === undefined) return undefined;
    const { entries, outdated } = listing;
    const target = Buffer.alloc(Math.min(size, MOST_BYTES));
    let at = 0;
    for (let i = offset; i < entries.length; i++) {
      const item = entries[i]!;
      const bytes = itemBytes(item.name, valid !== undefined);
      if (at + bytes > target.length) break;
      if (valid === undefined) {
        writeItem(target, at, { ...item, next: i + 1 });
      } else {
        // Not of . and .., which it must not look up.
        const attributes = i < 2 || outdated ? null : this.#fileSystem.getattr(item.inode);
        if (attributes !== null) this.#lookups.add(item.inode);
        writeItem(target, at, { ...item, next: i + 1 }, { attributes, options: this.#options, valid });
      }
      at += bytes;
    }
    return target.subarray(0, at);
  }
}
