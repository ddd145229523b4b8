/** Where these benches run: a workspace, a LAN of two network namespaces, and a tree to publish. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { makeWorkspace } from "../../demo/workspace.ts";
import { makeLan } from "./lan.ts";
import { makeTree } from "./tree.ts";

/** Makes the place, until the stack ends. @throws Error when this is not root */
export async function makePlace(stack: AsyncDisposableStack) {
  if (process.getuid?.() !== 0) throw new Error("this needs root: it makes network namespaces and mounts");
  const workspace = stack.use(await makeWorkspace("icfs-bench"));
  const lan = stack.use(await makeLan(`icfs-bench-${process.pid}`));
  const tree = join(workspace.directory, "tree");
  await mkdir(tree);
  await makeTree(tree);
  return { workspace, lan, tree };
}
