/** A machine without disks, as libvirt's XML describes it, and the stages of its boot by UEFI: shim, GRUB, the kernel. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { STAGES, type Stage } from "../../demo/machine.ts";
import { Process } from "../../demo/process.ts";
import type { PrivateHost } from "./private-host.ts";

export type Firmware = "bios" | "uefi";

const [, , ...KERNEL_AND_INSTALLER] = STAGES;

/** What comes after GRUB's own start is the tree's configuration for it. */
export function uefiStages(...configured: Stage[]): Stage[] {
  return [
    { name: "OVMF", pattern: /NBP filename is (\S+)\s/, seconds: 180 },
    { name: "shim", pattern: /Fetching Netboot Image (\S+)\s/, seconds: 180 },
    { name: "GRUB", pattern: /(Welcome to GRUB)/, seconds: 180 },
    ...configured,
    ...KERNEL_AND_INSTALLER,
  ];
}

/** What the console shows when a boot by UEFI has failed for good. */
export const UEFI_FAILURE =
  /(failed to load Boot|failed to start Boot|Kernel panic|: READ ERROR|: HASH MISMATCH)[^\r\n]*/;

/** In the network `default`. The firmware writes to the serial port, and that to a file. */
function domainXml(firmware: Firmware, console: string): string {
  const uefi = firmware === "uefi";
  return `<domain type='qemu'>
 <name>${firmware}</name>
 <memory unit='MiB'>1024</memory>
 <vcpu>1</vcpu>
 <os${uefi ? " firmware='efi'" : ""}>
  <type arch='x86_64' machine='q35'>hvm</type>
  ${uefi ? "<firmware><feature enabled='no' name='secure-boot'/></firmware>" : "<bios useserial='yes'/>"}
  <boot dev='network'/>
 </os>
 <features><acpi/></features>
 <on_reboot>destroy</on_reboot>
 <devices>
  <interface type='network'>
   <source network='default'/>
   <model type='virtio'/>
   ${uefi ? "<!-- Without the card's own iPXE, OVMF does it. --><rom enabled='no'/>" : ""}
  </interface>
  <serial type='file'><source path='${console}'/></serial>
  <controller type='usb' model='none'/>
  <memballoon model='none'/>
 </devices>
</domain>
`;
}

/**
 * Switches such a machine on. What it returns has its console as its output; disposing switches the machine off.
 *
 * @param directory for its files
 * @throws Error with what virsh said
 */
export async function startDomain(
  host: PrivateHost,
  firmware: Firmware,
  directory: string,
): Promise<Process> {
  const log = join(directory, `${firmware}.console`);
  const xml = join(directory, `${firmware}.xml`);
  // QEMU appends.
  await writeFile(log, "");
  await writeFile(xml, domainXml(firmware, log));
  // Once the machine is off, its name is free again.
  await host.virsh("create", xml);
  return new Process("tail", ["--bytes=+1", "--follow", log]);
}
