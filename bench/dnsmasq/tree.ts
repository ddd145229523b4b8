/** The served tree: what a machine reads when it boots, and many other files that nobody has read yet. */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

const MIB = 1024 * 1024;
/** About the sizes of Debian's. */
const KERNEL_MIB = 8;
const INITRD_MIB = 32;
/** Files of 1 MiB, each in a chunk of its own, for readers during an outage. */
const OTHER_FILES = 24;

const CONFIGURATION = `default install
label install
  kernel boot/linux
  append initrd=boot/initrd.gz
`;

/** What a boot loader reads, in order. */
export const BOOT_FILES = ["pxelinux.cfg/default", "boot/linux", "boot/initrd.gz"];
export const OTHERS = Array.from(
  { length: OTHER_FILES },
  (_, i) => `other/file-${String(i).padStart(2, "0")}`,
);

/** Writes the tree to an existing directory. */
export async function makeTree(directory: string): Promise<void> {
  for (const name of ["pxelinux.cfg", "boot", "other"])
    await mkdir(join(directory, name), { recursive: true });
  await writeFile(join(directory, BOOT_FILES[0]!), CONFIGURATION);
  await renewBoot(directory);
  for (const path of OTHERS) await writeFile(join(directory, path), randomBytes(MIB));
}

/** Replaces kernel and initrd, as the next release would. */
export async function renewBoot(directory: string): Promise<void> {
  await writeFile(join(directory, BOOT_FILES[1]!), randomBytes(KERNEL_MIB * MIB));
  await writeFile(join(directory, BOOT_FILES[2]!), randomBytes(INITRD_MIB * MIB));
}
