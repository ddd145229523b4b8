/** The trees of Debian's packages, as they are: no false alarm. */
import { execFile } from "node:child_process";
import { copyFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";
import { IMAGES } from "../../demo/tree.ts";
import { lintDirectory } from "../../lib/publish/lintable-tree.ts";
import { EVERYTHING } from "../../lib/publish/scan.ts";
import { exactly } from "../support/exactly.ts";

const run = promisify(execFile);
const LOADERS = [
  "pxelinux",
  "syslinux-common",
  "syslinux-efi",
  "grub-efi-amd64-signed",
  "shim-signed",
  "ipxe",
  "memtest86+",
];

/** What lint finds in a directory, a line each. */
async function found(directory: string): Promise<string[]> {
  return (await lintDirectory(directory, EVERYTHING)).map(
    ({ kind, file, line, problem }) => `${kind} ${file}:${line} ${problem}`,
  );
}

/** Unpacks packages of this Debian, each into a directory with its name, and installs nothing. */
async function unpack(directory: string, names: readonly string[]): Promise<void> {
  const script =
    'apt-get download "$@" && for name; do mkdir "$name" && dpkg-deb --extract "$name"_*.deb "$name" || exit; done';
  await run("sh", ["-c", script, "sh", ...names], { cwd: directory });
}

t.test("boot loaders as packaged, and assembled for a TFTP server", async (t) => {
  const directory = t.testdir({});
  await unpack(directory, LOADERS);
  for (const name of LOADERS) t.same(await found(join(directory, name)), [], name);
  await run(
    "sh",
    [
      "-c",
      `mkdir -p tftp/efi64 tftp/pxelinux.cfg tftp/grub
    cp pxelinux/usr/lib/PXELINUX/*.0 syslinux-common/usr/lib/syslinux/modules/bios/*.c32 tftp/
    cp syslinux-efi/usr/lib/SYSLINUX.EFI/efi64/* syslinux-common/usr/lib/syslinux/modules/efi64/* tftp/efi64/
    cp memtest86+/boot/*.bin ipxe/boot/ipxe.lkrn tftp/
    cp shim-signed/usr/lib/shim/shimx64.efi.signed tftp/bootx64.efi
    cp grub-efi-amd64-signed/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed tftp/grubx64.efi
    echo 'menuentry m { linux /memtest86+x64.bin }' >tftp/grub/grub.cfg
    printf 'ui menu.c32\\nlabel m\\n kernel memtest86+x64.bin\\nlabel i\\n kernel ipxe.lkrn\\n' >tftp/pxelinux.cfg/default`,
    ],
    { cwd: directory },
  );
  const tftp = join(directory, "tftp");
  t.same(await found(tftp), []);
  // The tree was really looked at: now there are findings.
  await rm(join(tftp, "ldlinux.c32"));
  await rename(join(tftp, "grub/grub.cfg"), join(tftp, "grub.cfg"));
  await copyFile(join(tftp, "efi64/menu.c32"), join(tftp, "menu.c32"));
  t.match(
    await found(tftp),
    exactly(
      /^missing-config grubx64\.efi:.* \/grub\/grub\.cfg/,
      /^missing-module lpxelinux\.0:.*ldlinux\.c32/,
      /^foreign-module menu\.c32:/,
      /^missing-module pxelinux\.0:.*ldlinux\.c32/,
    ),
  );
});

t.test("netboot installers for three architectures", async (t) => {
  const directory = t.testdir({});
  // `make setup` has installed the one for this machine.
  t.same(await found(IMAGES), []);
  const { stdout } = await run("apt-cache", [
    "search",
    "--names-only",
    "^debian-installer-[0-9]+-netboot-(i386|arm64)$",
  ]);
  const names = stdout
    .split("\n")
    .map((line) => line.split(" ")[0]!)
    .filter(Boolean);
  t.ok(names.length >= 1, "this Debian has installers for other architectures");
  await unpack(directory, names);
  for (const name of names) {
    const images = join(directory, name, IMAGES);
    t.same((await found(images)).filter(isFalse), [], name);
  }
});

/** The menu for arm64 names a graphical installer's initrd, which is not in the package. That finding is true. */
function isFalse(finding: string): boolean {
  return !/arm64\/grub\/grub\.cfg:\d+ names \/debian-installer\/arm64\/gtk\/initrd\.gz, which is not there/.test(
    finding,
  );
}
