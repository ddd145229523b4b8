/** Runs icfs as its users do: starts networks to mount from, and mounts. */
import { mkdir, mkdtemp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deploy, publish } from "../../demo/icfs.ts";
import { mountsBelow, Process, type RunOptions, run } from "../../demo/process.ts";
import type { Workspace } from "../../demo/workspace.ts";

const ICFS = fileURLToPath(new URL("../../bin/icfs", import.meta.url));
/** The canister id in the examples. */
const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
/** Enough for a mount that fetches everything over a distant line before it is ready. */
const MOUNT_SECONDS = 120;

export interface PublishedTree {
  readonly url: string;
  /** The process id of the network. */
  readonly pid: number;
  readonly canister: string;
  /** Publishes the directory as it is now. Resolves to the release's number. */
  publish(): Promise<number>;
}

/**
 * Starts a local network with the tree at `directory` in a canister, until the stack ends.
 *
 * @param weather options of `icfs localnet`
 */
export async function startNetwork(
  directory: string,
  weather: readonly string[],
  stack: AsyncDisposableStack,
  options: RunOptions,
): Promise<PublishedTree> {
  const localnet = stack.use(new Process(ICFS, ["localnet", "--port", "0", ...weather], options.env));
  const [, url] = await localnet.until(/(http:\/\/[\d.]+:\d+)\s/, { seconds: 30, signal: options.signal });
  const canister = await deploy(CANISTER, url!, options);
  const tree: PublishedTree = {
    url: url!,
    pid: localnet.pid!,
    canister,
    publish: async () => (await publish(directory, canister, url!, options)).release,
  };
  await tree.publish();
  return tree;
}

export interface Mount {
  readonly mountpoint: string;
  /** The process id of the mount's server. */
  readonly pid: number;
  /** The mount's own directory, with its `cache`, `state` and `log`. */
  readonly directory: string;
  /** Unmounts. Resolves to the number of the release that was served last. */
  end(): Promise<number>;
}

/** Mounts with an empty cache and trust store of its own. @param more options of `icfs mount` */
export async function mountTree(
  { url, canister }: Pick<PublishedTree, "url" | "canister">,
  more: readonly string[],
  { directory }: Workspace,
  stack: AsyncDisposableStack,
  { env, signal }: RunOptions,
): Promise<Mount> {
  const own = await mkdtemp(join(directory, "mount-"));
  await run("chmod", ["755", own]);
  const mountpoint = join(own, "mnt");
  const statistics = join(own, "statistics.json");
  await mkdir(mountpoint);
  const unmount = async () => {
    if (mountsBelow(mountpoint).length > 0) await run(ICFS, ["umount", mountpoint], { env });
  };
  stack.defer(unmount);
  const mounted = await run(
    ICFS,
    [
      ...["mount", "--json", canister, mountpoint, "--network", url, "--cache-dir", join(own, "cache")],
      ...["--log-file", join(own, "log"), "--stats-file", statistics, ...more],
    ],
    { env: { ...env, XDG_STATE_HOME: join(own, "state") }, seconds: MOUNT_SECONDS, signal },
  );
  return {
    mountpoint,
    pid: JSON.parse(mounted).pid,
    directory: own,
    async end() {
      await unmount();
      return JSON.parse(await readFile(statistics, "utf8")).release;
    },
  };
}
