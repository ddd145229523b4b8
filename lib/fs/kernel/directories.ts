/** Directories that are being listed: each listing is of one release, however many requests it takes. */

import type { Dirent, Inode } from "../view/filesystem.ts";
import { type ReadRequest, writeItem } from "./protocol.ts";

/** The largest answer, even if the kernel has more room. */
const MOST_BYTES = 1024 * 1024;

interface Listing {
  readonly dots: readonly Dirent[];
  /** Shared by all that list that directory. */
  readonly entries: readonly Dirent[];
}

export class Directories {
  readonly #open = new Map<number, Listing>();
  #last = 0;

  get count(): number {
    return this.#open.size;
  }

  /** Returns a handle. @param above the directory in which this one is; the root's is the root itself */
  open(inode: Inode, above: Inode, entries: readonly Dirent[]): number {
    this.#last += 1;
    const dots: Dirent[] = [
      { name: ".", inode, kind: "directory" },
      { name: "..", inode: above, kind: "directory" },
    ];
    this.#open.set(this.#last, { dots, entries });
    return this.#last;
  }

  release(handle: number): void {
    this.#open.delete(handle);
  }

  /** As much of a listing as fits; nothing at its end. Offsets count entries. Undefined: not open. */
  read({ handle, offset, size }: ReadRequest): Buffer | undefined {
    const listing = this.#open.get(handle);
    if (listing === undefined) return undefined;
    const { dots, entries } = listing;
    const target = Buffer.alloc(Math.min(size, MOST_BYTES));
    let end = 0;
    for (let i = offset; i < dots.length + entries.length; i++) {
      const { name, ...rest } = dots[i] ?? entries[i - dots.length]!;
      const at = end;
      end = writeItem(target, at, { ...rest, name: Buffer.from(name), next: i + 1 });
      if (end === at) break;
    }
    return target.subarray(0, end);
  }
}
