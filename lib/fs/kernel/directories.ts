/**
 * Directories that are being listed: each listing is of one release, however many requests it takes.
 *
 * With a listing the kernel can be told what LOOKUP would say of each name (READDIRPLUS), and so `ls -l` need not ask for
 * each. It is told nothing of that while releases are switched, nor by listings that were begun before; and before a
 * switch it must have taken note of what it was told: `unread` says where it may not have.
 */

import type { Dirent, Inode } from "../view/filesystem.ts";
import { type FuseEntry, type ReadRequest, writeItem, writeItemPlus } from "./protocol.ts";

/** The most that one answer takes, whatever the kernel has room for. */
const MOST_BYTES = 1024 * 1024;
/** `.` and `..`, of which the kernel is told nothing. */
const DOTS = 2;

interface Listing {
  readonly inode: Inode;
  readonly entries: readonly Dirent[];
  /** Whether the kernel may be told what names mean. */
  tells: boolean;
  /** The last answer told it, and it has not asked for more yet. */
  unread: boolean;
}

export class Directories {
  readonly #open = new Map<number, Listing>();
  #last = 0;
  #tells = false;

  get count(): number {
    return this.#open.size;
  }

  /** Listings that are opened from here on tell what names mean. To begin with none does. */
  tell(): void {
    this.#tells = true;
  }

  /** From here on nothing is told, by listings that are open not any more. */
  stopTelling(): void {
    this.#tells = false;
    for (const listing of this.#open.values()) listing.tells = false;
  }

  /** Directories of which the kernel may still be reading what names mean. */
  get unread(): Inode[] {
    const listings = Array.from(this.#open.values()).filter(({ unread }) => unread);
    return [...new Set(listings.map(({ inode }) => inode))];
  }

  /** Returns a handle. @param above of the directory in which this one is; the root's is itself */
  open(inode: Inode, above: Inode, entries: readonly Dirent[]): number {
    this.#last += 1;
    this.#open.set(this.#last, {
      inode,
      entries: [
        { name: ".", inode, kind: "directory" },
        { name: "..", inode: above, kind: "directory" },
        ...entries,
      ],
      tells: this.#tells,
      unread: false,
    });
    return this.#last;
  }

  release(handle: number): void {
    this.#open.delete(handle);
  }

  /** As much of a listing as there is room for; nothing at its end. Offsets count entries. Undefined: not open. */
  read(request: ReadRequest): Buffer | undefined {
    return this.#fill(request, writeItem);
  }

  /** read(), with what each name means. @param entry of a name in the directory; the kernel has looked it up then */
  readPlus(request: ReadRequest, entry: (name: Dirent, directory: Inode) => FuseEntry): Buffer | undefined {
    return this.#fill(request, (target, at, item, i, listing) =>
      writeItemPlus(target, at, item, () => {
        if (i < DOTS || !listing.tells) return undefined;
        listing.unread = true;
        return entry(listing.entries[i]!, listing.inode);
      }),
    );
  }

  #fill(
    { handle, offset, size }: ReadRequest,
    write: (...item: [...Parameters<typeof writeItem>, index: number, listing: Listing]) => number,
  ): Buffer | undefined {
    const listing = this.#open.get(handle);
    if (listing === undefined) return undefined;
    // Who asks for more has read what came before: the kernel asks once at a time for each open directory.
    listing.unread = false;
    const target = Buffer.alloc(Math.min(size, MOST_BYTES));
    let end = 0;
    for (let i = offset; i < listing.entries.length; i++) {
      const { name, ...rest } = listing.entries[i]!;
      const at = end;
      end = write(target, at, { ...rest, name: Buffer.from(name), next: i + 1 }, i, listing);
      if (end === at) break;
    }
    return target.subarray(0, end);
  }
}
