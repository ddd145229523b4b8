/** The tree to boot from, by BIOS or by UEFI: Debian's netboot files, with the installer on the serial console. */
import { readdirSync } from "node:fs";
import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Where the packages debian-installer-RELEASE-netboot-amd64 put RELEASE/amd64/text, their text-mode trees. */
export const IMAGES = "/usr/lib/debian-installer/images";

/** The newest of Debian's netboot trees that is installed on this machine. */
export interface DebianTree {
  readonly directory: string;
  /** The Debian version: "12", "13". */
  readonly release: string;
}

/** @throws Error that says what to install if there is none */
export function debianTree(): DebianTree {
  let releases: string[] = [];
  try {
    releases = readdirSync(IMAGES).sort((a, b) => Number(a) - Number(b));
  } catch {
    // A missing directory counts as empty.
  }
  const release = releases.at(-1);
  if (release === undefined) {
    throw new Error(`there is no netboot tree in ${IMAGES}: run \`make setup\` as root`);
  }
  return { directory: join(IMAGES, release, "amd64/text"), release };
}

/** The first file that UEFI firmware loads, instead of pxelinux.0: shim, which loads GRUB from the same directory. */
export const UEFI_BOOT_FILE = "debian-installer/amd64/bootnetx64.efi";
/** The directory of GRUB's configuration and modules, which is built into it. */
export const GRUB = "debian-installer/amd64/grub";

/** loglevel=6 lets the kernel print its version. */
const KERNEL_OPTIONS = "console=ttyS0 loglevel=6 ---";

/** For pxelinux: boots at once, without a menu. */
const CONFIGURATION = `default install
prompt 0
label install
  kernel debian-installer/amd64/linux
  append initrd=debian-installer/amd64/initrd.gz ${KERNEL_OPTIONS}
`;

/** The same for GRUB. Its output goes to the firmware's console, which includes the serial port. */
const GRUB_CONFIGURATION = `linux /debian-installer/amd64/linux ${KERNEL_OPTIONS}
initrd /debian-installer/amd64/initrd.gz
boot
`;

/** Copies Debian's tree to `directory` (which is created), with symlinks and times, and adds our configurations. */
export async function makeTree(directory: string): Promise<void> {
  const { directory: debian } = debianTree();
  await cp(debian, directory, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  // At the top level, pxelinux.cfg is a symlink to this directory.
  await writeFile(join(directory, "debian-installer/amd64/pxelinux.cfg/default"), CONFIGURATION);
  await writeFile(join(directory, GRUB, "grub.cfg"), GRUB_CONFIGURATION);
}
