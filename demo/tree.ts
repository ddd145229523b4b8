/** The tree to boot from: Debian 12's netboot files, with the installer on the serial console. */
import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Where the package debian-installer-12-netboot-amd64 puts its text-mode tree. */
export const DEBIAN_TREE = "/usr/lib/debian-installer/images/12/amd64/text";

/** Boots at once, without a menu; loglevel=6 lets the kernel print its version. */
const CONFIGURATION = `default install
prompt 0
label install
  kernel debian-installer/amd64/linux
  append initrd=debian-installer/amd64/initrd.gz console=ttyS0 loglevel=6 ---
`;

/** Copies Debian's tree to `directory` (which is made), symlinks and times as they are, and gives it our configuration. */
export async function makeTree(directory: string): Promise<void> {
  await cp(DEBIAN_TREE, directory, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  // At the top level, pxelinux.cfg is a symlink to this directory.
  await writeFile(join(directory, "debian-installer/amd64/pxelinux.cfg/default"), CONFIGURATION);
}
