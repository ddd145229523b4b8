/**
 * Which files were read whole and have the SHA-256 that their manifest states. A manifest's certificate proves what chunks a file is
 * made of; the file's own hash is the publisher's word until then.
 */
import type { TreeFile } from "./tree.ts";

const checked = new WeakSet<TreeFile>();

/** All of the file has been read, and hashed. */
export function addChecked(file: TreeFile): void {
  checked.add(file);
}

/** Whether two files, of whatever releases, are known to have the same bytes by their hashes. */
export function haveSameHash(a: TreeFile, b: TreeFile): boolean {
  if (a.sha256 === undefined || b.sha256 === undefined || !checked.has(a) || !checked.has(b)) return false;
  return Buffer.compare(a.sha256, b.sha256) === 0;
}
