// biome-ignore-all lint/suspicious/noTemplateCurlyInString: GRUB has such words
import t from "tap";
import { exactly } from "../support/exactly.ts";
import { cpio, grubImage, kernel, linted, places } from "../support/linted.ts";

const files = { "debian/linux": kernel("6.1.0"), "debian/initrd.gz": cpio(["init"]) };

t.test("a configuration whose files exist, or may be elsewhere, has no findings", async (t) => {
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

t.test("a missing file is reported by line, and only once for all entries that name it", async (t) => {
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

t.test("reasonable configurations", async (t) => {
  const configs = {
    "a root that all entries have": "search --set=root --label DISK\nmenuentry a {\n linux /gone\n}",
    "a root that an included file sets": "source /lib.cfg\nmenuentry a {\n linux /gone\n}",
    "a variable that an included file sets": "set base=/a\nsource /lib.cfg\nlinux $base/linux",
    "a value for later": "set base=/a\nmenuentry a {\n linux $base/linux\n}\nset base=/debian",
    "a function": "function load {\n linux /gone\n}\nmenuentry a { linux /debian/linux }",
    "on one line": "if [ -e /x ]; then linux /gone; else linux /gone2; fi",
    "in GRUB's directory": "configfile $prefix/more/list.cfg",
    "another server": "linux (http,192.0.2.1)/gone\ninitrd (tftp,$server)/gone",
    "the default root": "set root=(tftp)\nlinux ($root)/debian/linux\ninitrd /debian/initrd.gz",
    patterns:
      'for kernel in /boot/vmlinuz-*; do\n menuentry "$kernel" { linux $kernel }\ndone\nsource /x-*.cfg',
    "a disk in a file": "loopback loop /x.iso\nlinux (loop)/casper/vmlinuz\ninitrd newc:init:/x",
    sectors: "chainloader +1\nchainloader (hd0,1)+1",
    quotes: 'menuentry "a \\"b\\" { linux /gone" \'it\'\\\'\'s\' { linux "/debian/linux" }',
    "a disk's, as Debian has it":
      "search.fs_uuid 0000 root hd0,gpt2\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/gone.cfg",
    "a root from a device":
      "regexp --set=1:root '(.*)' $cmdpath\nlinux /gone\nmenuentry a {\n probe -s root x\n linux /gone\n}",
    "another server for all": "set net_default_server=192.0.2.1\nlinux (tftp)/gone",
    "a server that the user names":
      "menuentry a {\n read net_default_server\n linux (tftp,$net_default_server)/gone\n}",
    "a variable that is found": "set base=/x\nregexp -s base '(.*)' $x\nlinux $base/linux",
    "a variable of a loop": "set k=/gone\nfor k in /debian/linux; do\n echo\ndone\nlinux $k",
    "a root in one case": "if x; then set root=hd0; else set root=tftp; fi\nmenuentry a {\n linux /gone\n}",
    "a root that a function sets": "function f {\n set root=hd0\n}\nf\nlinux /gone",
    "the server that GRUB came from":
      "set root=(tftp,$net_default_server)\nlinux ($root)/debian/linux\nlinux (tftp,${net_default_server})/debian/linux",
    "names without a slash": "linux debian/linux\ninitrd newc:init:x\nchainloader +1",
    "a name out of others": "set a=/debian\nset b=$a/linux\nlinux $b\nlinux $a/$unknown",
    "a kernel for each case":
      "if x; then linux /debian/linux; else linux /debian/other; fi\ninitrd /debian/initrd.gz",
  };
  const more = {
    "lib.cfg": "search --set=root --label DISK\nset base=/b",
    "EFI/BOOT/more/list.cfg": "# nothing",
    "EFI/BOOT/grub.cfg": "# nothing",
    "debian/other": kernel("6.2.0"),
    "debian/initrd.gz": cpio(["lib/modules/6.1.0/a"]),
  };
  for (const [name, config] of Object.entries(configs)) {
    t.same(await places({ ...files, ...more, "boot/grub/grub.cfg": config }), [], name);
  }
  const found = {
    "on the server": "linux (tftp,192.0.2.1)/gone",
    "on the server that GRUB came from": "linux (tftp,$net_default_server)/gone",
    "on the root, which is the server": "set root=(tftp)\nlinux ${root}/debian/x\nlinux ($root)/gone",
    "of a name out of others": "set a=/debian\nset b=$a/gone\nlinux $b",
    "with a prefix out of another": "set a=$prefix/more\nconfigfile $a/gone.cfg",
    "without a slash": "linux gone",
    "of FreeBSD": "kfreebsd (tftp)/gone",
    "of Xen on arm64": "xen_hypervisor gone",
    "after a function": "function f {\n true\n}\nlinux /gone",
    "after an entry with a root of its own": "menuentry a {\n set root=(hd0)\n linux /x\n}\nlinux /gone",
    "after an entry that ends on its line": "set a=/debian\nmenuentry a { echo $a; }\nlinux $a/gone",
  };
  for (const [name, config] of Object.entries(found)) {
    const [finding, ...others] = await linted({ ...files, "grub/grub.cfg": config });
    t.match(finding, { kind: "missing-file", line: config.split("\n").length }, name);
    t.same(others, []);
  }
  const long = `set a=${"x".repeat(9000)}\n${"linux $a$a$a\n".repeat(20_000)}${"menuentry x {\n".repeat(20_000)}`;
  t.same(await places({ "grub/grub.cfg": long }), [], "a hostile configuration has no findings");
  const doubled = Array.from({ length: 60 }, (_, n) => `set a${n + 1}=$a${n}$a${n}`).join("\n");
  t.same(
    await places({ "grub/grub.cfg": `set a0=xx\n${doubled}\nlinux $a60` }),
    [],
    "variables that double have no findings",
  );
});

t.test("the names of machines' configurations", async (t) => {
  const right = ["01-52-54-00-ab-cd-ef", "52:54:00:ab:cd:ef", "0A000001", "0A00", "arm64"];
  const named = (names: readonly string[], config: string) =>
    linted(Object.fromEntries(names.map((name) => [`grub/grub.cfg-${name}`, config])));
  t.same(await named(right, "# nothing"), []);
  t.same(
    await named(["old", "backup", "0A000001.bak", "0A000001~", "0A000001.rpmsave"], "linux /gone"),
    [],
    "replaced ones",
  );
  const found = await named(["01-52-54-00-AB-CD-EF", "0a00000b"], "# nothing");
  t.match(
    found,
    exactly(
      { kind: "config-name", advice: "GRUB asks for grub.cfg-01-52-54-00-ab-cd-ef" },
      { kind: "config-name", advice: "GRUB asks for grub.cfg-0A00000B" },
    ),
  );
});

t.test("a GRUB image that does not find its configuration", async (t) => {
  const at = (path: string, image: Buffer) => places({ "efi/grubx64.efi": image, [path]: "# nothing" });
  const missing = ["missing-config efi/grubx64.efi"];
  const plain = grubImage("/boot/grub");
  t.same(await at("boot/grub/grub.cfg", plain), []);
  t.same(
    await at("efi/boot/grub/grub.cfg", plain),
    [],
    "the TFTP server's directory may be one below the root",
  );
  t.same(await at("boot/grub/grub.cfg-01-52-54-00-12-34-56", plain), []);
  t.same(await at("boot/grub/x86_64-efi/grub.cfg", plain), [], "grub-mknetdir");
  t.same(await at("grub/grub.cfg", plain), missing);
  t.same(await at("efi/grub.cfg", plain), missing);
  t.same(
    await places({ "grubx64.efi": plain }),
    [],
    "loaders in a tree without any configuration have no findings",
  );
  const [finding] = await linted({ "grubx64.efi": plain, "grub/grub.cfg": "" });
  t.match(finding?.problem, "looks for /boot/grub/grub.cfg");
  const [near] = await linted({ "grubx64.efi": plain, "boot/GRUB/Grub.cfg": "" });
  t.match(near?.advice, "There is boot/GRUB/Grub.cfg");

  // As in Debian's images: one for the network, and one for disks.
  const config = "normal (memdisk)/grub.cfg\n";
  const net =
    "GRUB CFG\0if [ -e $prefix/x86_64-efi/grub.cfg ]; then\n\tsource $prefix/x86_64-efi/grub.cfg\nelse\n\tsource $prefix/grub.cfg\nfi\n\0";
  t.same(await at("efi/grub.cfg", grubImage("/grub", config, net)), missing);
  t.same(await at("grub/grub.cfg", grubImage("/grub", config, net)), []);
  const disk =
    "\0if ! search --file --set=root /.disk/info; then\nset prefix=($root)/boot/grub\nfi\nsource $prefix/grub.cfg\nsource $cmdpath/grub.cfg\n\0";
  t.same(await at("efi/grub.cfg", grubImage("/EFI/debian", config, disk)), []);
  t.same(await at("boot/grub/grub.cfg", grubImage("/EFI/debian", config, disk)), []);
  t.same(await at("grub/grub.cfg", grubImage("/EFI/debian", config, disk)), missing);
  t.same(
    await at("efi/grub.cfg", grubImage("/grub", config, "hsqs\x01\x02")),
    [],
    "an image with a packed disk has no findings",
  );
  t.same(await at("efi/grub.cfg", grubImage("/EFI/fedora", "", "fw_path")), [], "Fedora's");
  for (const [prefix, first] of [
    ["(memdisk)/boot/grub", ""],
    ["(hd0,gpt2)/grub", ""],
    ["/grub", "configfile (http,192.0.2.1)/menu.cfg"],
    ["/grub", "set prefix=$base/x"],
    ["/grub", "linux /vmlinuz"],
  ] as const) {
    t.same(
      await at("efi/grub.cfg", grubImage(prefix, first)),
      [],
      `${prefix} ${first}: the place of the configuration is unknown`,
    );
  }
  t.same(await at("efi/grub.cfg", grubImage("(tftp,192.0.2.1)/grub")), missing);
  t.same(await at("efi/grub.cfg", grubImage("")), [], "an image without a prefix looks in its own directory");
  t.same(await at("grub/grub.cfg", grubImage("")), missing);
  t.same(await at("efi/grub.cfg", grubImage("/grub").subarray(0, 1040)), ["broken-image efi/grubx64.efi"]);
});
