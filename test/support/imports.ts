/** Reads the imports between the program's modules from their sources, including types. */
import { glob, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface Import {
  /** Paths from the repository's root. */
  readonly from: string;
  readonly to: string;
  /** Types only: nothing is loaded. */
  readonly isType: boolean;
}

/** In Biome's format. An import in parentheses is a type, or loads the module late. */
const IMPORT =
  /\b(import|export)( type)?\b[^;"'`()]*?\bfrom "(\.[^"]+)"|^import "(\.[^"]+)"|\bimport\("(\.[^"]+)"\)/gm;

/** The relative imports in a module's source. @param path of the module, from the repository's root */
export function importsIn(path: string, source: string): Import[] {
  return Array.from(source.matchAll(IMPORT), ([, , type, named, bare, late]) => ({
    from: path,
    to: join(dirname(path), (named ?? bare ?? late)!),
    isType: type !== undefined,
  }));
}

/** The imports of all modules below these directories, which are relative to the repository's root. */
export async function importsBelow(directories: readonly string[]): Promise<Import[]> {
  const imports: Import[] = [];
  for await (const path of glob(
    directories.map((directory) => `${directory}/**/*.ts`),
    { cwd: ROOT },
  )) {
    imports.push(...importsIn(path, await readFile(join(ROOT, path), "utf8")));
  }
  return imports;
}

/** Import cycles: one path around each cycle. */
export function circlesIn(imports: readonly Import[]): string[][] {
  const next = Map.groupBy(imports, ({ from }) => from);
  const circles: string[][] = [];
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]) => {
    const start = way.indexOf(file);
    if (start >= 0) circles.push([...way.slice(start), file]);
    if (start >= 0 || done.has(file)) return;
    for (const { to } of next.get(file) ?? []) visit(to, [...way, file]);
    done.add(file);
  };
  for (const file of next.keys()) visit(file, []);
  return circles;
}
