/** A whole boot from a canister that is not ours: the tree of `make demo`, without links, since other canisters have none. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { boot } from "../../demo/boot.ts";
import { deploy, mount, startLocalnet } from "../../demo/icfs.ts";
import { run } from "../../demo/process.ts";
import { makeTree } from "../../demo/tree.ts";
import { makeWorkspace } from "../../demo/workspace.ts";
import type { SourceKind } from "../../lib/source/source.ts";
import { BIN } from "../support/icfs.ts";
import { reporting } from "./stages.ts";

/** The original's, on the main network. */
const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";

export interface Filling {
  /** Debian's tree, links and all. */
  readonly tree: string;
  /** The same, where what links point to is there under the links' names. */
  readonly flat: string;
  readonly canister: string;
  readonly url: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Deploys `wasm`, has it filled, mounts it, and boots a machine from it. */
export async function bootFrom(
  t: Test,
  kind: SourceKind,
  wasm: Uint8Array,
  fill: (filling: Filling) => Promise<void>,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const { directory, env } = stack.use(await makeWorkspace("icfs-test"));
  const tree = join(directory, "tree");
  const flat = join(directory, "flat");
  const mountpoint = join(directory, "mnt");
  const stage = reporting(t);
  await makeTree(tree);
  await run("cp", ["-rL", tree, flat]);
  await mkdir(mountpoint);

  const { localnet, url } = await startLocalnet({ env });
  stack.use(localnet);
  const file = join(directory, "canister.wasm");
  await writeFile(file, wasm);
  await deploy(CANISTER, url, { env }, ["--wasm", file]);
  await fill({ tree, flat, canister: CANISTER, url, env });
  const mounted = await stage(
    "mount",
    () => mount(CANISTER, mountpoint, url, { env }),
    () => mountpoint,
  );
  stack.use(mounted);
  const [status] = JSON.parse(await run(BIN, ["status", mountpoint, "--json"], { env }));
  t.match(status, { source: kind, mountpoint });

  const { names, bytes, seconds } = await boot(mountpoint, {
    namespace: `icfs-test-${process.pid}`,
    stage,
    env,
  });
  t.comment(`${seconds.toFixed(1)} s, ${names.length} files, ${bytes} bytes`);
  t.ok(bytes > 40_000_000, "the kernel and the initrd went through the mount");
  t.ok(names.includes("pxelinux.0") && names.includes("pxelinux.cfg/default"), "so did files behind links");
  for (const name of new Set(names)) {
    await t.resolves(run("cmp", [join(flat, name), join(mountpoint, name)]), `${name} is what it was`);
  }
  await t.resolves(run("diff", ["-r", flat, mountpoint], { seconds: 120 }), "so is all that was not read");
  await mounted.end();
  await localnet.stop();
}
