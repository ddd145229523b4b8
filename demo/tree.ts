/** The tree to boot from, by BIOS or by UEFI: Debian's netboot files, with the installer on the serial console. */
import { readdirSync } from "node:fs";
import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Where the packages debian-installer-RELEASE-netboot-amd64 put RELEASE/amd64/text, their text-mode trees. */
export const IMAGES = "/usr/lib/debian-installer/images";

/** Debian's netboot tree as this machine has it, of the newest release that is there. */
export interface DebianTree {
  readonly directory: string;
  /** Debian's: "12", "13". */
  readonly release: string;
}

/** @throws Error that says what to install when there is none */
export function debianTree(): DebianTree {
  let releases: string[] = [];
  try {
    releases = readdirSync(IMAGES).sort((a, b) => Number(a) - Number(b));
  } catch {
    // As when it is empty.
  }
  const release = releases.at(-1);
  if (release === undefined) {
    throw new Error(`there is no netboot tree in ${IMAGES}: run \`make setup\` as root`);
  }
  return { directory: join(IMAGES, release, "amd64/text"), release };
}

/** What UEFI firmware loads first, in place of pxelinux.0: shim, which loads GRUB from beside it. */
export const UEFI_BOOT_FILE = "debian-installer/amd64/bootnetx64.efi";
/** Where GRUB has its configuration and its modules; it is built to look there. */
export const GRUB = "debian-installer/amd64/grub";

/** loglevel=6 lets the kernel print its version. */
const KERNEL_OPTIONS = "console=ttyS0 loglevel=6 ---";

/** For pxelinux. Boots at once, without a menu. */
const CONFIGURATION = `default install
prompt 0
label install
  kernel debian-installer/amd64/linux
  append initrd=debian-installer/amd64/initrd.gz ${KERNEL_OPTIONS}
`;

/** For GRUB, the same. What GRUB prints goes where the firmware prints, and that has the serial port as well. */
const GRUB_CONFIGURATION = `linux /debian-installer/amd64/linux ${KERNEL_OPTIONS}
initrd /debian-installer/amd64/initrd.gz
boot
`;

/** Copies Debian's tree to `directory` (which is made), symlinks and times as they are, and gives it our configurations. */
export async function makeTree(directory: string): Promise<void> {
  const { directory: debian } = debianTree();
  await cp(debian, directory, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  // At the top level, pxelinux.cfg is a symlink to this directory.
  await writeFile(join(directory, "debian-installer/amd64/pxelinux.cfg/default"), CONFIGURATION);
  await writeFile(join(directory, GRUB, "grub.cfg"), GRUB_CONFIGURATION);
}
