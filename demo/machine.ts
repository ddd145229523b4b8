/**
 * A virtual machine without disks that boots from the network, and the stages of its boot, as its serial console shows
 * them: iPXE (the network card's ROM) → pxelinux.0 → the Linux kernel → the Debian installer's first screen.
 */
import { GUEST_MAC, type Namespace, TAP } from "./namespace.ts";
import { Process, type RunOptions } from "./process.ts";

export interface Stage {
  name: string;
  /** The console's output when the stage is reached; the first group is a detail to report. */
  pattern: RegExp;
  /** The time limit after the previous stage. Two slow cores take a tenth of it. */
  seconds: number;
}

export const STAGES: Stage[] = [
  { name: "iPXE", pattern: /(iPXE \d[\w.+-]*)[^\w.+-]/, seconds: 120 },
  { name: "pxelinux.0", pattern: /(PXELINUX \d\S*)\s/, seconds: 120 },
  { name: "kernel", pattern: /(Linux version \S+)\s/, seconds: 300 },
  { name: "installer", pattern: /(Select a language)/, seconds: 300 },
];

/** The console's output when the boot has failed for good. */
export const BOOT_FAILURE = /(Kernel panic|No bootable device|No more network devices|Boot failed)[^\r\n]*/;

/** The other end of the network card, in QEMU's syntax, for a machine in a namespace of namespace.ts. */
const TAP_NETWORK = `tap,ifname=${TAP},script=no,downscript=no`;

/**
 * Switches the machine on; its output is its serial console. A reset ends it.
 *
 * @param place where it runs
 * @param card what its network card is connected to, as for `-netdev`, without an id; and its address
 */
export function startMachine(
  place: Pick<Namespace, "inside">,
  { env }: RunOptions = {},
  { network = TAP_NETWORK, mac = GUEST_MAC }: { readonly network?: string; readonly mac?: string } = {},
): Process {
  return new Process(
    ...place.inside("qemu-system-x86_64", [
      // Plain emulation works everywhere, even inside virtual machines with broken KVM.
      ...["-accel", "tcg"],
      // With less than 1 GiB, the installer starts with a screen about low memory.
      ...["-m", "1024"],
      // Without graphics SeaBIOS, iPXE and pxelinux write to the serial port as well.
      ...["-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot"],
      ...["-netdev", `${network},id=net`],
      ...["-device", `virtio-net-pci,netdev=net,mac=${mac}`, "-boot", "n"],
    ]),
    env,
  );
}
