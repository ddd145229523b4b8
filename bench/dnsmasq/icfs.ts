/** icfs as its user calls it: networks to mount from, and mounts. */
import { mkdir, mkdtemp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deploy, publish } from "../../demo/icfs.ts";
import { mountsBelow, Process, type RunOptions, run } from "../../demo/process.ts";
import type { Workspace } from "../../demo/workspace.ts";

const ICFS = fileURLToPath(new URL("../../bin/icfs", import.meta.url));
/** The id that the examples mount. */
const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
/** For a mount that fetches everything before it is ready, over a far line. */
const MOUNT_SECONDS = 120;

export interface PublishedTree {
  readonly url: string;
  /** The process that is the network. */
  readonly pid: number;
  readonly canister: string;
  /** Publishes what the directory now is. Returns the release's number. */
  publish(): Promise<number>;
}

/** A local network with the tree at `directory` in a canister; it ends with the stack. @param weather of `icfs localnet` */
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
  /** The process that serves it. */
  readonly pid: number;
  /** Of this mount alone: its `cache`, its `state`, its `log`. */
  readonly directory: string;
  /** Unmounts. Returns the number of the release that was served last. */
  end(): Promise<number>;
}

/** A mount with an empty cache of its own, and a trust store of its own. @param more options of `icfs mount` */
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
