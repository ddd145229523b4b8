/** Makes directories for tests, and lists what the original's uploader would find in them. */
import { execFile } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

/** Files by path; a symlink is an arrow and its target; null is a directory. */
export type Tree = Readonly<Record<string, Buffer | `->${string}` | null>>;

/** Makes a tree in a directory, which is created if necessary. */
export async function makeTree(directory: string, tree: Tree): Promise<void> {
  for (const [path, what] of Object.entries(tree)) {
    const at = join(directory, path);
    await mkdir(what === null ? at : dirname(at), { recursive: true });
    if (what instanceof Buffer) await writeFile(at, what);
    else if (what !== null) await symlink(what.slice(2), at);
  }
}

/** All files with their sizes, including those behind symlinks, under each path that leads to them, as `find -L` lists them. */
export async function filesFound(directory: string): Promise<[string, bigint][]> {
  const find = promisify(execFile)("find", ["-L", directory, "-type", "f", "-printf", "%P\\0%s\\0"], {
    maxBuffer: 2 ** 28,
  });
  // find fails on cycles of links, but lists the rest.
  const { stdout } = (await find.catch((error: unknown) => error)) as { stdout: string };
  const fields = stdout.split("\0").slice(0, -1);
  return Array.from({ length: fields.length / 2 }, (_, i) => [fields[2 * i]!, BigInt(fields[2 * i + 1]!)]);
}
