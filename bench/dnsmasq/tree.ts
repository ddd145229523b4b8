/** The tree that is served: what a machine reads when it boots, and many other files that nobody has read yet. */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

const MIB = 1024 * 1024;
/** About what Debian's are. */
const KERNEL_MIB = 8;
const INITRD_MIB = 32;
/** Each a chunk of its own, for readers during an outage. */
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

export async function makeTree(directory: string): Promise<void> {
  for (const name of ["pxelinux.cfg", "boot", "other"])
    await mkdir(join(directory, name), { recursive: true });
  await writeFile(join(directory, BOOT_FILES[0]!), CONFIGURATION);
  await renewBoot(directory);
  for (const path of OTHERS) await writeFile(join(directory, path), randomBytes(MIB));
}

/** Another kernel and another initrd, as of the next release. */
export async function renewBoot(directory: string): Promise<void> {
  await writeFile(join(directory, BOOT_FILES[1]!), randomBytes(KERNEL_MIB * MIB));
  await writeFile(join(directory, BOOT_FILES[2]!), randomBytes(INITRD_MIB * MIB));
}
