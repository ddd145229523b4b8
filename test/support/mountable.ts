/**
 * A canister behind a fault proxy, with ways to fill and mount it. Only mounting runs bin/icfs: publishing, status and unmounting
 * call the functions behind the commands, which test/cli and test/mount/canister.test.ts test as commands.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Principal } from "@icp-sdk/core/principal";
import { unmount } from "../../lib/fs/mounting/unmount.ts";
import { askStatus } from "../../lib/live/report/control.ts";
import type { MountStatus } from "../../lib/live/report/status.ts";
import { publish as publishDirectory } from "../../lib/publish/publish.ts";
import { mountedAt, mountpointFor, sh } from "../mount/mounts.ts";
import { PLAINLY } from "../publish/trees.ts";
import { startAssets } from "./assets.ts";
import { startCanister, type TestCanister, type TestNetwork } from "./canister-network.ts";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";
import { startIcboot } from "./icboot.ts";
import type { Result, Test } from "./icfs.ts";

export interface Mounted {
  readonly mountpoint: string;
  /** The output of `icfs mount`. */
  readonly said: Result;
  status(): Promise<MountStatus>;
  /** The daemon's log so far. */
  log(): Promise<string>;
  /** The path of a file in the mount. */
  at(name: string): string;
  umount(): Promise<void>;
}

type Files = Readonly<Record<string, string | Buffer>>;

/** A canister of any kind, behind a proxy. */
export interface AnyMountable extends TestNetwork {
  readonly id: string;
  /** The directory with the canister's content. */
  readonly tree: string;
  readonly proxy: FaultProxy;
  /** Writes files into the tree, and stores them in the canister. */
  fill(files: Files): Promise<void>;
  /** Mounts it through the proxy. @throws Error with the output of icfs when that fails */
  mount(...options: string[]): Promise<Mounted>;
  /** Mounts `CANISTER@NAME`: a release, or what a channel points to. */
  mountNamed(name: string, ...options: string[]): Promise<Mounted>;
  /** Mounts it, and may fail. */
  tryMount(...options: string[]): Promise<Result & { readonly mountpoint: string }>;
  /** Whether the mount shows the tree. */
  same(mountpoint: string): Promise<boolean>;
}

/** An icfs canister. */
export interface Mountable extends AnyMountable, TestCanister {
  /**
   * Writes files into the tree, publishes it, and resolves to the release's number. What the mounting host has accepted stays the
   * same.
   */
  publish(files: Files): Promise<number>;
}

/** An icfs canister without releases. @param options of the local network */
export async function startMountable(
  t: Test,
  options: Parameters<typeof startCanister>[1] = {},
): Promise<Mountable> {
  const canister = await startCanister(t, options);
  const { tree, ...mountable } = await behindProxy(t, canister);
  const id = canister.canister.toText();
  const publish = async (files: Files): Promise<number> => {
    await writeFiles(tree, files);
    const { release } = await publishDirectory({
      ...PLAINLY,
      directory: tree,
      canister: canister.canister,
      agent: canister.publisherAgent,
      source: canister.source(),
      note: "",
    });
    return release;
  };
  return {
    ...canister,
    ...mountable,
    id,
    tree,
    publish,
    async fill(files) {
      await publish(files);
    },
  };
}

/** The twin of the original's canister (icboot.mo). */
export async function startMountableIcboot(t: Test): Promise<AnyMountable & Pick<Icboot, "put" | "setlen">> {
  const canister = await startIcboot(t);
  return filledBy(t, canister, canister.put);
}

type Icboot = Awaited<ReturnType<typeof startIcboot>>;

/** The twin of the standard asset canister. */
export async function startMountableAssets(
  t: Test,
): Promise<AnyMountable & Omit<Awaited<ReturnType<typeof startAssets>>, "canister">> {
  const canister = await startAssets(t);
  return filledBy(t, canister, (name, content) => canister.store(`/${name}`, content));
}

/** @param store stores a file in the canister */
async function filledBy<T extends TestNetwork & { readonly canister: Principal }>(
  t: Test,
  canister: T,
  store: (name: string, content: Buffer) => Promise<void>,
) {
  const mountable = await behindProxy(t, canister);
  return {
    ...canister,
    ...mountable,
    async fill(files: Files) {
      await writeFiles(mountable.tree, files);
      for (const [name, content] of Object.entries(files)) await store(name, Buffer.from(content));
    },
  };
}

async function writeFiles(tree: string, files: Files): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(tree, name)), { recursive: true });
    await writeFile(join(tree, name), content);
  }
}

async function behindProxy(
  t: Test,
  canister: TestNetwork & { readonly canister: Principal },
): Promise<Pick<AnyMountable, "id" | "tree" | "proxy" | "mount" | "mountNamed" | "tryMount" | "same">> {
  const { directory, icfs } = canister;
  const id = canister.canister.toText();
  const tree = join(directory, "tree");
  await mkdir(tree);
  const proxy = await startFaultProxy(t, canister.url);
  let mounts = 0;

  const mountAt = async (mountpoint: string, logFile: string, more: readonly string[], spec = id) => {
    const args = ["mount", spec, mountpoint, "--network", proxy.url, "--log-file", logFile];
    return { ...(await icfs([...args, ...more])), mountpoint };
  };
  const nextLog = () => {
    mounts += 1;
    return join(directory, `log-${mounts}`);
  };

  const mountSpec = async (spec: string, more: readonly string[]): Promise<Mounted> => {
    const logFile = nextLog();
    // With a short --read-timeout, a busy machine may take the network to be away.
    const said = await mountAt(await mountpointFor(t), logFile, ["--retry", "30s", ...more], spec);
    if (said.code !== 0) throw new Error(said.stderr);
    const { mountpoint } = said;
    return {
      mountpoint,
      said,
      async status() {
        const mount = await mountedAt(mountpoint);
        if (mount === undefined) throw new Error(`nothing is mounted at ${mountpoint}`);
        return askStatus(mount);
      },
      log: () => readFile(logFile, "utf8"),
      at: (name) => join(mountpoint, name),
      async umount() {
        const { serverEnded } = await unmount(mountpoint, { lazy: false });
        if (!serverEnded) throw new Error(`what served ${mountpoint} has not ended`);
      },
    };
  };

  return {
    id,
    tree,
    proxy,
    mount: (...more) => mountSpec(id, more),
    mountNamed: (name, ...more) => mountSpec(`${id}@${name}`, more),
    tryMount: async (...more) => mountAt(await mountpointFor(t), nextLog(), more),
    same: async (mountpoint) => (await sh("diff", "-r", "--no-dereference", tree, mountpoint)).code === 0,
  };
}
