/** A file system over a tree that is not any canister's. */
import type { FileSystem } from "../../../lib/fs/view/filesystem.ts";
import { TreeFileSystem } from "../../../lib/fs/view/tree-filesystem.ts";
import { type Chunks, Tree, type TreeContent } from "../../../lib/tree/tree.ts";
import { served } from "../../support/served.ts";

export function fileSystemOver(manifest: TreeContent, chunks: Chunks): TreeFileSystem {
  return new TreeFileSystem(served(Tree.of(manifest, 7_000_000n), 1), chunks, {
    canister: "aaaaa-aa",
    listXattrs: false,
  });
}

/** What opening a file gives where it waits for nothing. */
export function open(fileSystem: FileSystem, inode: number): number {
  const handle = fileSystem.open(inode);
  if (typeof handle !== "number") throw new Error("open waits");
  return handle;
}
