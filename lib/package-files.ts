/** Finds the files of this package, in a checkout and where it is installed. */
import { readFileSync } from "node:fs";
import { findPackageJSON } from "node:module";
import { dirname, join } from "node:path";

const PACKAGE = findPackageJSON(import.meta.url)!;
const ROOT = dirname(PACKAGE);

/** The version of this icfs. A mount that goes on during an upgrade of its package keeps its version. */
export const VERSION: string = JSON.parse(readFileSync(PACKAGE, "utf8")).version;

/** The absolute path of a file of the package. @param path from the package's root, such as "build/icfs.wasm" */
export function packageFile(path: string): string {
  return join(ROOT, path);
}
