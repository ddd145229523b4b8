/** A diskless machine, described in libvirt's XML, and the stages of its boot by UEFI: shim, GRUB, the kernel. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { STAGES, type Stage } from "../../demo/machine.ts";
import { Process } from "../../demo/process.ts";
import type { PrivateHost } from "./private-host.ts";

export type Firmware = "bios" | "uefi";

const [, , ...KERNEL_AND_INSTALLER] = STAGES;

/** @param configured the stages that GRUB's configuration in the tree decides */
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

/** A machine in the network `default`. Its firmware writes to the serial port, and QEMU writes that to a file. */
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
 * Switches a machine on. The output of the returned process is the machine's console.
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
  // tail needs the file, to which QEMU appends.
  await writeFile(log, "");
  await writeFile(xml, domainXml(firmware, log));
  // `create` makes a transient machine, whose name is free again once it is off.
  await host.virsh("create", xml);
  return new Process("tail", ["--bytes=+1", "--follow", log]);
}
