/** Simulates hosts by files, for the checks of `icfs doctor`. */
import { join } from "node:path";
import { type Context, contextOf, type Question } from "../../lib/doctor/context.ts";
import type { Host } from "../../lib/fs/mounting/host.ts";
import { resolveNetwork } from "../../lib/ic/network.ts";
import { makeTree, type Tree } from "./directories.ts";
import { type Test, temporaryDirectory } from "./icfs.ts";

/** A host with only these files, unless `more` adds others; its user is root. */
export async function hostWith(
  t: Test,
  files: Tree,
  more: Partial<Question & Host> = {},
): Promise<Context & { readonly directory: string }> {
  const directory = await temporaryDirectory(t);
  await makeTree(directory, files);
  const host = { files: directory, isRoot: true, commands: join(directory, "bin"), ...more };
  const question: Question = {
    network: resolveNetwork("ic"),
    cacheDirectory: join(directory, "cache"),
    cacheCapacity: 1,
    stateDirectory: join(directory, "state"),
    program: "/opt/icfs/bin/icfs",
    ...more,
  };
  return { ...contextOf(question, host), directory };
}
