/** Makes a static mirror of a published tree, and serves it with nginx on this machine. */
import { fileURLToPath } from "node:url";
import { freePort } from "../../demo/free-port.ts";
import { type RunOptions, run } from "../../demo/process.ts";
import type { Workspace } from "../../demo/workspace.ts";
import { networkStatus } from "../../lib/ic/network.ts";
import { startNginx } from "../../test/boot/http-site.ts";
import type { PublishedTree } from "../dnsmasq/icfs.ts";

const ICFS = fileURLToPath(new URL("../../bin/icfs", import.meta.url));

/** Makes a static mirror at `directory`. @returns the options of a mount that asks only mirrors, without `--mirror` itself */
export async function makeMirror(
  { url, canister }: Pick<PublishedTree, "url" | "canister">,
  directory: string,
  options: RunOptions,
): Promise<string[]> {
  await run(ICFS, ["mirror", canister, directory, "--network", url], options);
  const { rootKey } = await networkStatus(url);
  return ["--root-key", Buffer.from(rootKey).toString("hex"), "--mirror-only", "--max-stale", "7d"];
}

/** Serves a directory with nginx, until the stack ends. @returns its URL, without a trailing slash */
export async function serveHere(
  root: string,
  { directory, env }: Workspace,
  stack: AsyncDisposableStack,
): Promise<string> {
  const port = await freePort();
  const namespace = { inside: (command: string, args: string[]): [string, string[]] => [command, args] };
  const server = `server { listen 127.0.0.1:${port}; root ${root}; }`;
  await startNginx(stack, { namespace, directory, env }, server);
  return `http://127.0.0.1:${port}`;
}
