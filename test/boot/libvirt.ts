/**
 * The real libvirtd on a private host, and a canister with the tree that machines boot from. The dnsmasq of libvirt's network serves the
 * mount at /srv/tftp, and libvirt's machines boot from it.
 */
import { join } from "node:path";
import type { Test } from "tap";
import { type DoStage, reach } from "../../demo/boot.ts";
import { namesSent } from "../../demo/dnsmasq.ts";
import type { Stage } from "../../demo/machine.ts";
import { type Process, run } from "../../demo/process.ts";
import { GRUB, UEFI_BOOT_FILE } from "../../demo/tree.ts";
import { BIN } from "../support/icfs.ts";
import { type Firmware, startDomain } from "./domain.ts";
import { type PrivateHost, startPrivateHost } from "./private-host.ts";
import { type PublishedTree, publishTree } from "./published-tree.ts";
import { reporting } from "./stages.ts";

/** The network from the original's instructions, unchanged: its root is /srv/tftp, and it does not mention icfs. */
export const NETWORK = join(import.meta.dirname, "seed-network.xml");
export const ROOT = "/srv/tftp";

const KERNEL = ["debian-installer/amd64/linux", "debian-installer/amd64/initrd.gz"];
/** The files that a machine fetches on its way to the installer. */
export const FILES: Readonly<Record<Firmware, readonly string[]>> = {
  bios: ["pxelinux.0", "ldlinux.c32", "pxelinux.cfg/default", ...KERNEL],
  uefi: [UEFI_BOOT_FILE, "debian-installer/amd64/grubx64.efi", `${GRUB}/grub.cfg`, ...KERNEL],
};

export interface Libvirt extends PublishedTree {
  readonly host: PrivateHost;
  /** Runs a program on the private host, with a network in which it reaches the canister. @throws Error with the program's output */
  online(program: string, ...args: string[]): Promise<string>;
  /** `icfs mount` at ROOT. */
  mount(): Promise<string>;
  /** Compares the mount with the tree. */
  isTree(t: Test): Promise<void>;
  /** Boots a machine, up to the last of `stages`, and switches it off. The output of the returned process is the machine's console. */
  boot(t: Test, firmware: Firmware, stages: readonly Stage[], refuse?: RegExp): Promise<Process>;
  /** Calls `work`. Returns the names of the files that dnsmasq sent whole meanwhile, each name once, sorted. */
  sentDuring(work: () => Promise<void>): Promise<string[]>;
}

/** Starts the host, which ends with the test. @param change changes the tree before it is published */
export async function startLibvirt(t: Test, change?: (tree: string) => Promise<void>): Promise<Libvirt> {
  const published = await publishTree(t, change);
  const { directory, env, tree, canister, url, stack } = published;
  const host = stack.use(await startPrivateHost({ env }));
  const online = (program: string, ...args: string[]) =>
    run(...host.online(program, args), { env, seconds: 120 });
  return {
    ...published,
    host,
    online,
    mount: () =>
      online(BIN, "mount", canister, ROOT, "--network", url, "--log-file", join(directory, "mount.log")),
    isTree: async (t) => {
      const compared = online("diff", "-r", "--no-dereference", tree, ROOT);
      await t.resolves(compared, "the mount has the tree, byte for byte");
    },
    async boot(t, firmware, stages, refuse) {
      const began = performance.now();
      const report = reporting(t);
      const stage: DoStage = (name, work, tell) => report(`${firmware}: ${name}`, work, tell);
      const console = await startDomain(host, firmware, directory);
      try {
        await reach(stages, console, stage, refuse === undefined ? {} : { refuse });
      } catch (error) {
        t.comment(console.tail(20));
        throw error;
      } finally {
        await console.stop();
        await host.virsh("destroy", firmware);
      }
      const seconds = (performance.now() - began) / 1000;
      t.comment(`${firmware}: ${seconds.toFixed(1)} s from virsh create to ${stages.at(-1)!.name}`);
      return console;
    },
    async sentDuring(work) {
      const from = host.syslog.output.length;
      await work();
      return [...new Set(namesSent(host.syslog.output.slice(from), ROOT))].sort();
    },
  };
}
