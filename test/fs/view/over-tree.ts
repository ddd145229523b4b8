/** A file system over a tree that belongs to no canister. */
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

/** Opens a file, which must not have to wait for anything. @returns the handle */
export function open(fileSystem: FileSystem, inode: number): number {
  const handle = fileSystem.open(inode);
  if (typeof handle !== "number") throw new Error("open waits");
  return handle;
}
