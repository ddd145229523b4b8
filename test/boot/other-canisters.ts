/**
 * A canister that is not ours with the tree of `make demo` in it, without links, since other canisters have none; for machines to boot
 * from.
 *
 * Which kind a canister is (icfs, icboot, assets), whether there is a network, and which server reads the mount are tried in pairs, not
 * each with each: a server reads files, and a mount serves them, and neither knows of the other. `make demo` has icfs, the network and
 * dnsmasq; assets-offline.long.ts, icboot-qemu.long.ts, tftpd-hpa.long.ts, libvirt.long.ts and libvirt-uefi.long.ts the rest.
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { deploy, startLocalnet } from "../../demo/icfs.ts";
import { type Process, run } from "../../demo/process.ts";
import { GRUB, makeTree } from "../../demo/tree.ts";
import { makeWorkspace } from "../../demo/workspace.ts";
import { stackOf } from "../support/stack.ts";

/** The original's, on the main network. */
const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";

export interface Filling {
  /** Debian's tree, links and all, without GRUB: its 258 modules would go up one by one, and a machine with a BIOS asks for none. */
  readonly tree: string;
  /** The same, where what links point to is there under the links' names. */
  readonly flat: string;
  readonly canister: string;
  readonly url: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface OtherCanister extends Filling {
  /** An empty directory. */
  readonly mountpoint: string;
  readonly localnet: Process;
  /** What ends with the test, before the network and the directory do. */
  readonly stack: AsyncDisposableStack;
}

/** Deploys `wasm`, and has it filled. */
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
