/**
 * Reads an initrd: one or more cpio archives, one after another, each compressed or not (the kernel's
 * Documentation/driver-api/early-userspace/buffer-format.rst). It is read once, as a stream.
 */
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import { formatAt, readCompressed } from "./compressed.ts";
import { CpioReader } from "./cpio.ts";

export interface Initrd {
  /** Why a kernel cannot unpack it, as a clause; undefined if no problem was found. */
  readonly problem?: string | undefined;
  /** Kernel versions for which it has modules; undefined if some of it cannot be read. */
  readonly moduleVersions?: ReadonlySet<string>;
}

const CPIO = /^07070[12]/;
/** Archives as cpio makes them without --format=newc: in octal digits, or in binary numbers of either order (cpio(5)). */
const OLD_CPIO = /^(070707|\x71\xc7|\xc7\x71)/;
const OLD_CPIO_PROBLEM =
  "it is a cpio archive of a format that Linux does not read: make it with cpio --format=newc";
/** The limit of archives in an initrd. No real one has more. */
const MAX_ARCHIVES = 100;

export async function readInitrd(tree: BootTree, file: TreeFile): Promise<Initrd> {
  const moduleVersions = new Set<string>();
  let isAllRead = true;
  let offset = 0;
  for (let count = 0; count < MAX_ARCHIVES; count++) {
    const at = await nextArchive(tree, file, offset);
    if (at === undefined) return isAllRead ? { moduleVersions } : {};
    const magic = (await tree.bytes(file, at, 6)).toString("latin1");
    if (OLD_CPIO.test(magic)) return { problem: OLD_CPIO_PROBLEM };
    if (CPIO.test(magic)) {
      const archive = new CpioReader(moduleVersions);
      const end = await readPlain(tree, file, at, archive);
      if (end === undefined) return { problem: archive.problem };
      offset = end;
      continue;
    }
    const format = await formatAt(tree, file, at);
    // A disk image, or something else that is loaded as an initrd.
    if (format === undefined) return {};
    const archives = new Archives(moduleVersions);
    const { problem, end, isRead } = await readCompressed(tree, { file, at, format }, (part) =>
      archives.write(part),
    );
    if (problem !== undefined) return { problem };
    if (isRead && archives.problem !== undefined) return { problem: archives.problem };
    if (end === undefined) return {};
    isAllRead &&= isRead && archives.areAllRead;
    offset = end;
  }
  return {};
}

/** Reads consecutive archives as a stream; anything else in it is ignored. */
class Archives {
  readonly #moduleVersions: Set<string>;
  #archive: CpioReader | undefined;
  #isOther = false;
  /** Whether the first archive is of a format that Linux does not read. */
  #isOld = false;

  constructor(moduleVersions: Set<string>) {
    this.#moduleVersions = moduleVersions;
  }

  write(part: Buffer): void {
    let rest = part;
    while (!this.#isOther && rest.length > 0) {
      if (this.#archive === undefined || this.#archive.ended) {
        const begin = firstByte(rest);
        if (begin < 0) return;
        rest = rest.subarray(begin);
        this.#isOld = this.#archive === undefined && OLD_CPIO.test(rest.toString("latin1", 0, 6));
        this.#archive = new CpioReader(this.#moduleVersions);
      }
      rest = this.#archive.write(rest);
      if (this.#archive.isNone) this.#isOther = true;
      else if (this.#archive.problem !== undefined) return;
    }
  }

  get areAllRead(): boolean {
    return !this.#isOther && !this.#archive?.isNone;
  }

  /** Read this at the end of the input. */
  get problem(): string | undefined {
    this.#archive?.end();
    if (this.#isOld) return OLD_CPIO_PROBLEM;
    return this.areAllRead ? this.#archive?.problem : undefined;
  }
}

/** The start of the next archive, after zeros. */
async function nextArchive(tree: BootTree, file: TreeFile, from: number): Promise<number | undefined> {
  let offset = from;
  if (from >= file.size) return undefined;
  for await (const part of tree.stream(file, from)) {
    const begin = firstByte(part);
    if (begin >= 0) return offset + begin;
    offset += part.length;
  }
  return undefined;
}

/** Reads an archive that is not compressed, and returns its end; undefined if it is truncated, with the reason in `archive`. */
async function readPlain(
  tree: BootTree,
  file: TreeFile,
  from: number,
  archive: CpioReader,
): Promise<number | undefined> {
  for await (const part of tree.stream(file, from)) {
    archive.write(part);
    if (archive.problem !== undefined) return undefined;
    if (archive.ended) return from + archive.length;
  }
  archive.end();
  return undefined;
}

/** The first byte that is not zero; -1 if there is none. */
function firstByte(bytes: Uint8Array): number {
  return bytes.findIndex((byte) => byte !== 0);
}
