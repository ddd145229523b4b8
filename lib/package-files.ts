/** Where the files of this package are: in a checkout, and where it is installed. */
import { findPackageJSON } from "node:module";
import { dirname, join } from "node:path";

const ROOT = dirname(findPackageJSON(import.meta.url)!);

/** The absolute path of a file of the package. @param path from the package's root, such as "build/icfs.wasm" */
export function packageFile(path: string): string {
  return join(ROOT, path);
}
