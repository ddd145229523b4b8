/**
 * A tree whose files describe their own content: each block begins with the number of the release that introduced it, and the
 * rest is derived from the file's name, that number and the position in the file. None of it compresses.
 */
import { createCipheriv, createHash } from "node:crypto";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

const MIB = 1024 * 1024;
/** The unit of content, and of O_DIRECT's alignment. */
export const BLOCK = 4096;

export interface SoakFile {
  readonly path: string;
  readonly size: number;
}

/** Large files, of four chunks each. */
export const LARGE: readonly SoakFile[] = files("large", 48, 4 * MIB);
/** Small files, a hundred to a pack. */
export const SMALL: readonly SoakFile[] = files("small", 300, 10_000);

function files(directory: string, count: number, size: number): SoakFile[] {
  return Array.from({ length: count }, (_, i) => ({ path: `${directory}/${i}`, size }));
}

/** The bytes from `at`, a multiple of BLOCK, as in the given release. */
export function contentOf({ path, size }: SoakFile, release: number, at: number, length: number): Buffer {
  const key = createHash("sha256").update(`${path}@${release}`).digest().subarray(0, 16);
  const counter = Buffer.alloc(16);
  counter.writeUIntBE(at / 16, 10, 6);
  const bytes = createCipheriv("aes-128-ctr", key, counter).update(Buffer.alloc(Math.min(length, size - at)));
  for (let block = 0; block + 4 <= bytes.length; block += BLOCK) bytes.writeUInt32LE(release, block);
  return bytes;
}

/** Writes files as in the given release. Each is replaced atomically, since the directory is being read. */
export async function writeFiles(root: string, files: readonly SoakFile[], release: number): Promise<void> {
  for (const directory of ["large", "small"]) await mkdir(join(root, directory), { recursive: true });
  for (const file of files) {
    // Outside the tree, which may be published at any time.
    const made = join(root, "..", "being-written");
    await writeFile(made, contentOf(file, release, 0, file.size));
    await rename(made, join(root, file.path));
  }
}
