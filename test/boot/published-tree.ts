/** The tree that machines boot from, in an icfs canister on its own local network. */
import { join } from "node:path";
import type { Test } from "tap";
import { deploy, type Published, publish, startLocalnet } from "../../demo/icfs.ts";
import { makeTree } from "../../demo/tree.ts";
import { makeWorkspace, type Workspace } from "../../demo/workspace.ts";
import { stackOf } from "../support/stack.ts";

/** The original's canister, on the main network. */
const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";

export interface PublishedTree extends Workspace {
  readonly tree: string;
  readonly canister: string;
  readonly url: string;
  readonly published: Published;
  /** Ends with the test, before the network and the directory do. */
  readonly stack: AsyncDisposableStack;
}

/** @param change changes the tree before it is published */
export async function publishTree(
  t: Test,
  change: (tree: string) => Promise<void> = async () => {},
): Promise<PublishedTree> {
  const stack = stackOf(t);
  const workspace = stack.use(await makeWorkspace("icfs-test"));
  const { directory, env } = workspace;
  const tree = join(directory, "tree");
  await makeTree(tree);
  await change(tree);
  const { localnet, url } = await startLocalnet({ env });
  stack.use(localnet);
  const canister = await deploy(CANISTER, url, { env });
  const published = await publish(tree, canister, url, { env });
  return { ...workspace, tree, canister, url, published, stack };
}
