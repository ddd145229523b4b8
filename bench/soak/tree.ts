/**
 * A tree whose files say what they have to be: each block begins with the number of the release that brought it, and what follows
 * can be made again from the file's name, that number and the place in the file. Nothing of it compresses.
 */
import { createCipheriv, createHash } from "node:crypto";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

const MIB = 1024 * 1024;
/** Of the content; also what O_DIRECT is aligned to. */
export const BLOCK = 4096;

export interface SoakFile {
  readonly path: string;
  readonly size: number;
}

/** Of chunks of their own, four each. */
export const LARGE: readonly SoakFile[] = files("large", 48, 4 * MIB);
/** Of packs, a hundred to a chunk. */
export const SMALL: readonly SoakFile[] = files("small", 300, 10_000);

function files(directory: string, count: number, size: number): SoakFile[] {
  return Array.from({ length: count }, (_, i) => ({ path: `${directory}/${i}`, size }));
}

/** The bytes from `at`, a multiple of BLOCK, as release `release` has them. */
export function contentOf({ path, size }: SoakFile, release: number, at: number, length: number): Buffer {
  const key = createHash("sha256").update(`${path}@${release}`).digest().subarray(0, 16);
  const counter = Buffer.alloc(16);
  counter.writeUIntBE(at / 16, 10, 6);
  const bytes = createCipheriv("aes-128-ctr", key, counter).update(Buffer.alloc(Math.min(length, size - at)));
  for (let block = 0; block + 4 <= bytes.length; block += BLOCK) bytes.writeUInt32LE(release, block);
  return bytes;
}

/** Writes some files as release `release` has them; each is replaced whole, for those who read the directory meanwhile. */
export async function writeFiles(root: string, files: readonly SoakFile[], release: number): Promise<void> {
  for (const directory of ["large", "small"]) await mkdir(join(root, directory), { recursive: true });
  for (const file of files) {
    // Not in the tree, which may be published at any time.
    const made = join(root, "..", "being-written");
    await writeFile(made, contentOf(file, release, 0, file.size));
    await rename(made, join(root, file.path));
  }
}
