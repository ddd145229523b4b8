/** A tree as a mount serves it, for tests of what lies above sources. */
import type { ServedRelease } from "../../lib/fs/view/inodes.ts";
import type { Tree } from "../../lib/tree/tree.ts";

export function served(tree: Tree, number: number): ServedRelease {
  const hash = Buffer.alloc(32, number);
  return { tree, release: { number, hash, certifiedAt: new Date(0), verified: "certified" } };
}
