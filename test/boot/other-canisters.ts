/**
 * A canister of another kind than icfs, with the tree of `make demo`, for machines to boot from. The tree is without links, because these
 * canisters have none.
 *
 * The tests do not try every combination of the canister's kind (icfs, icboot, assets), a network or none, and the server that reads the
 * mount: a server only reads files, whatever mount they are in. `make demo` has icfs, the network and dnsmasq. assets-offline.long.ts,
 * icboot-qemu.long.ts, tftpd-hpa.long.ts, libvirt.long.ts and libvirt-uefi.long.ts have the rest.
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { deploy, startLocalnet } from "../../demo/icfs.ts";
import { type Process, run } from "../../demo/process.ts";
import { GRUB, makeTree } from "../../demo/tree.ts";
import { makeWorkspace } from "../../demo/workspace.ts";
import { stackOf } from "../support/stack.ts";

/** The original's canister, on the main network. */
const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";

export interface Filling {
  /** Debian's tree with its links, without GRUB: its 258 modules would be uploaded one by one, and a machine with a BIOS needs none. */
  readonly tree: string;
  /** The same tree, with each link replaced by a copy of its target. */
  readonly flat: string;
  readonly canister: string;
  readonly url: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface OtherCanister extends Filling {
  /** An empty directory. */
  readonly mountpoint: string;
  readonly localnet: Process;
  /** Ends with the test, before the network and the directory do. */
  readonly stack: AsyncDisposableStack;
}

/** Deploys `wasm`, and calls `fill`. */
export async function startOtherCanister(
  t: Test,
  wasm: Uint8Array,
  fill: (filling: Filling) => Promise<void>,
): Promise<OtherCanister> {
  const stack = stackOf(t);
  const { directory, env } = stack.use(await makeWorkspace("icfs-test"));
  const tree = join(directory, "tree");
  const flat = join(directory, "flat");
  const mountpoint = join(directory, "mnt");
  await makeTree(tree);
  await rm(join(tree, GRUB), { recursive: true });
  await run("cp", ["-rL", tree, flat]);
  await mkdir(mountpoint);
  const { localnet, url } = await startLocalnet({ env });
  stack.use(localnet);
  const file = join(directory, "canister.wasm");
  await writeFile(file, wasm);
  await deploy(CANISTER, url, { env }, ["--wasm", file]);
  const filling = { tree, flat, canister: CANISTER, url, env };
  await fill(filling);
  return { ...filling, mountpoint, localnet, stack };
}
