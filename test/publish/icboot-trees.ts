/** Directories that are published to the original's canister, and the files that it then has. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { queries } from "../../lib/ic/canister-calls.ts";
import { icbootWriter } from "../../lib/publish/icboot/icboot-updates.ts";
import { type IcbootPublication, publishFiles } from "../../lib/publish/icboot/publish.ts";
import type { IcbootCanister } from "../support/icboot.ts";
import { type Result, run } from "../support/icfs.ts";
import { PLAINLY } from "./trees.ts";

/** How many sectors a query answers at most. */
const SECTORS = 4096n;

/** An empty directory. */
export async function treeIn(c: IcbootCanister, name: string): Promise<string> {
  const tree = join(c.directory, name);
  await mkdir(tree);
  return tree;
}

/** The files in a directory by path, with links followed. */
export async function filesIn(directory: string): Promise<Map<string, Buffer>> {
  // find names on stderr the links that it does not enter, and then exits with 1.
  const { stdout } = await run("find", ["-L", directory, "-type", "f", "-printf", "%P\\n"], {
    env: process.env,
  });
  const names = stdout.trim().split("\n").sort();
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(directory, name))] as const)),
  );
}

/** All files of the canister, read as the original's TFTP server reads them. */
export async function filesOf(c: IcbootCanister): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const [name, length] of (await c.listing()).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const parts: Uint8Array[] = [];
    for (let sector = 0n; sector * 512n < length; sector += SECTORS) {
      parts.push(await c.get(name, sector, SECTORS));
    }
    files.set(name, Buffer.concat(parts));
  }
  return files;
}

/** The names of the files that differ between two sets. */
export function differing(a: Map<string, Buffer>, b: Map<string, Buffer>): string[] {
  const names = new Set([...a.keys(), ...b.keys()]);
  return [...names].filter((name) => !a.get(name)?.equals(b.get(name) ?? Buffer.from("nothing")));
}

/** Publishes with bin/icfs, and expects it to work. */
export async function published(c: IcbootCanister, tree: string, ...more: string[]): Promise<Result> {
  const result = await c.icfs(["publish", tree, c.canister.toText(), ...more]);
  if (result.code !== 0) throw new Error(result.stderr);
  return result;
}

/** Publishes with the function behind bin/icfs. */
export function publication({ agent, canister }: IcbootCanister, tree: string): Promise<IcbootPublication> {
  return publishFiles({
    ...PLAINLY,
    directory: tree,
    call: queries(agent, canister),
    canister: icbootWriter(agent, canister),
  });
}
