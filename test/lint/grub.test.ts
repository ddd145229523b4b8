import t from "tap";
import { cpio, kernel, linted, places } from "../support/linted.ts";

const files = { "debian/linux": kernel("6.1.0"), "debian/initrd.gz": cpio(["init"]) };

t.test("a configuration whose files are there, or may be elsewhere, has no findings", async (t) => {
  const config = `
# comment with linux /gone
set base=/debian
if [ -e /extra.cfg ]; then source /extra.cfg; fi
menuentry 'Install; {now}' --hotkey=i {
    linux  $base/linux quiet ---
    initrd \${base}/initrd.gz
}
menuentry "Net" { linux (tftp,192.0.2.1)/debian/linux \\
      quiet; initrd (http)/elsewhere/initrd }
menuentry 'Disk' {
    search --set=root --file /vmlinuz
    linux /vmlinuz
}
menuentry 'Unknown' { linux /$net_default_mac/linux }
`;
  t.same(await places({ ...files, "grub/grub.cfg": config }), []);
  t.same(
    await places({ "srv/debian/linux": kernel("6.1.0"), "srv/grub/grub.cfg": "linux /debian/linux" }),
    [],
    "the TFTP server's directory may be one below the root",
  );
  t.same(await places({ "grub/x86_64-efi/grub.cfg": "source /boot/grub/grub.cfg" }), [], "GRUB's own");
});

t.test("names of files that are not there, by line, and once for a menu", async (t) => {
  const config =
    "menuentry a {\n linux /debian/Linux\n initrd /debian/initrd.gz /gone\n}\nmenuentry b {\n linux /debian/Linux\n}\nsource /more.cfg\nconfigfile $prefix/next.cfg";
  const findings = await linted({
    ...files,
    "grub/grub.cfg": config,
    "grub/next.cfg": "chainloader /gone.efi",
  });
  t.same(
    findings.map(({ file, line, problem }) => [file, line, problem]),
    [
      ["grub/grub.cfg", 2, "names /debian/Linux, which is not there (and so in 1 more line)"],
      ["grub/grub.cfg", 3, "names /gone, which is not there"],
      ["grub/grub.cfg", 8, "names /more.cfg, which is not there"],
      ["grub/next.cfg", 1, "names /gone.efi, which is not there"],
    ],
  );
  t.match(findings[0]!.advice, "There is debian/linux");
});
