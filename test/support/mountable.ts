/** A canister behind a fault proxy, and ways to publish to it and to mount it. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { MountStatus } from "../../lib/mount/status.ts";
import { mountpointFor, sh } from "../mount/mounts.ts";
import { startCanister, type TestCanister } from "./canister-network.ts";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";
import type { Result, Test } from "./icfs.ts";

export interface Mounted {
  readonly mountpoint: string;
  /** What `icfs mount` has said. */
  readonly said: Result;
  status(): Promise<MountStatus>;
  /** What the daemon has logged so far. */
  log(): Promise<string>;
  /** What a reader would take for the path of a file in it. */
  at(name: string): string;
  umount(): Promise<void>;
}

export interface Mountable extends TestCanister {
  readonly id: string;
  /** What is published. */
  readonly tree: string;
  readonly proxy: FaultProxy;
  /** The environment of the host that publishes: what that has accepted is not what the mounting one has. */
  readonly publisher: NodeJS.ProcessEnv;
  /** Writes files into the tree and publishes it, from another host; the release's number. */
  publish(files: Readonly<Record<string, string | Buffer>>): Promise<number>;
  /** Mounts it through the proxy. @throws Error with what icfs has said when that fails */
  mount(...options: string[]): Promise<Mounted>;
  /** The same, for those that may fail. */
  tryMount(...options: string[]): Promise<Result & { readonly mountpoint: string }>;
  /** Whether what is mounted is the tree. */
  same(mountpoint: string): Promise<boolean>;
}

/** @param options of the local network */
export async function startMountable(
  t: Test,
  options: Parameters<typeof startCanister>[1] = {},
): Promise<Mountable> {
  const canister = await startCanister(t, options);
  const { directory, icfs, env } = canister;
  const id = canister.canister.toText();
  const tree = join(directory, "tree");
  await mkdir(tree);
  const proxy = await startFaultProxy(t, canister.url);
  const publisher = { ...env, XDG_STATE_HOME: join(directory, "publisher") };
  let mounts = 0;

  const mountAt = async (mountpoint: string, logFile: string, more: readonly string[]) => {
    const args = ["mount", id, mountpoint, "--network", proxy.url, "--log-file", logFile];
    return { ...(await icfs([...args, ...more])), mountpoint };
  };
  const nextLog = () => {
    mounts += 1;
    return join(directory, `log-${mounts}`);
  };

  return {
    ...canister,
    id,
    tree,
    proxy,
    publisher,
    async publish(files) {
      for (const [name, content] of Object.entries(files)) {
        await mkdir(dirname(join(tree, name)), { recursive: true });
        await writeFile(join(tree, name), content);
      }
      const { code, stdout, stderr } = await icfs(["publish", tree, id, "--json"], { env: publisher });
      if (code !== 0) throw new Error(stderr);
      return JSON.parse(stdout).release;
    },
    async mount(...more) {
      const logFile = nextLog();
      const said = await mountAt(await mountpointFor(t), logFile, more);
      if (said.code !== 0) throw new Error(said.stderr);
      const { mountpoint } = said;
      return {
        mountpoint,
        said,
        status: async () => JSON.parse((await icfs(["status", mountpoint, "--json"])).stdout)[0],
        log: () => readFile(logFile, "utf8"),
        at: (name) => join(mountpoint, name),
        async umount() {
          const { code, stderr } = await icfs(["umount", mountpoint]);
          if (code !== 0) throw new Error(stderr);
        },
      };
    },
    tryMount: async (...more) => mountAt(await mountpointFor(t), nextLog(), more),
    same: async (mountpoint) => (await sh("diff", "-r", "--no-dereference", tree, mountpoint)).code === 0,
  };
}
