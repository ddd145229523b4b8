import { gzipSync } from "node:zlib";
import t from "tap";
import { exactly } from "../support/exactly.ts";
import { cpio, elf, kernel, linted, places } from "../support/linted.ts";

const LOADER = "Copyright\nPXELINUX 6.04 PXE 20200816\n";
const CORE = elf(32);
const boot = { "pxelinux.0": LOADER, "ldlinux.c32": CORE, linux: kernel("6.1.0"), initrd: cpio(["init"]) };

t.test("a bootable tree has no findings, through links and with every form of name", async (t) => {
  const config = [
    "DEFAULT install",
    "LABEL install",
    "  KERNEL linux",
    "  APPEND vga=788 initrd=initrd --- quiet",
    "LABEL other",
    "  LINUX ::/linux",
    "  INITRD initrd,/initrd",
    "LABEL local",
    "  LOCALBOOT 0",
    "LABEL web",
    "  KERNEL http://example.org/linux",
    "INCLUDE missing.cfg",
  ].join("\n");
  t.same(await places({ ...boot, "pxelinux.cfg/default": config }), []);
  t.same(
    await places({
      ...boot,
      "boot-screens/a.cfg": config,
      "pxelinux.cfg/default": { link: "../boot-screens/a.cfg" },
    }),
    [],
  );
  // The TFTP server's root may be a directory below the tree's root.
  const below = Object.entries(boot).map(([path, content]) => [`amd64/${path}`, content]);
  t.same(await places({ ...Object.fromEntries(below), "amd64/pxelinux.cfg/default": config }), []);
});

t.test("names of missing files", async (t) => {
  const config =
    "default a\nlabel a\n kernel vmlinuz\n append initrd=initrd.gz,more.gz\nlabel b\n linux LINUX\n initrd gone";
  const findings = await linted({ ...boot, "pxelinux.cfg/default": config });
  t.same(
    findings.map(({ kind, line, problem }) => [kind, line, problem]),
    [
      ["missing-file", 3, "names vmlinuz, which is not there"],
      ["missing-file", 4, "names initrd.gz, which is not there"],
      ["missing-file", 4, "names more.gz, which is not there"],
      ["missing-file", 6, "names LINUX, which is not there"],
      ["missing-file", 7, "names gone, which is not there"],
    ],
  );
  t.match(findings[3]!.advice, "There is linux");
  t.match(findings[0]!.outcome, "Loading vmlinuz... failed: No such file or directory");
});

t.test("defaults, menus and included files", async (t) => {
  t.same(await places({ ...boot, "pxelinux.cfg/default": "default nothing\nlabel a\n kernel linux" }), [
    "missing-file pxelinux.cfg/default:1",
  ]);
  const withOptions = "default install quiet\nlabel install\n kernel linux";
  t.same(
    await places({ ...boot, "pxelinux.cfg/default": withOptions }),
    [],
    "the default may be a label with options",
  );
  const inCapitals = { ...boot, "pxelinux.cfg/default": withOptions.replace("label i", "label I") };
  const [finding, ...others] = await linted(inCapitals);
  t.match(finding, {
    line: 1,
    problem: "names install, which is neither a label nor a file",
    advice: /^There is a label Install: since version 5/,
  });
  t.same(others, []);
  const { "ldlinux.c32": _, ...old } = { ...inCapitals, "pxelinux.0": "PXELINUX 4.05 2011" };
  t.same(await places(old), [], "version 4 takes both");
  t.same(await places({ ...inCapitals, install: kernel("6.1.0") }), [], "a file");
  t.same(
    await places({ ...boot, "syslinux.cfg": "default LINUX" }),
    [],
    "the case of names does not matter on a disk",
  );
  t.same(await places({ ...boot, "pxelinux.cfg/default": "default LINUX" }), [
    "missing-file pxelinux.cfg/default:1",
  ]);
  t.same(await places({ ...boot, "pxelinux.cfg/default": "ui menu.c32\nlabel a\n kernel linux" }), [
    "missing-file pxelinux.cfg/default:1",
  ]);
  t.same(await places({ ...boot, "pxelinux.cfg/default": "include gone.cfg" }), [
    "missing-include pxelinux.cfg/default:1",
  ]);
  t.same(
    await places({
      ...boot,
      "Menu.cfg": "label b\n kernel linux",
      "pxelinux.cfg/default": "label a\n kernel linux\nmenu include menu.cfg",
    }),
    ["missing-include pxelinux.cfg/default:3"],
  );
  t.same(
    await places({
      ...boot,
      "sub/more.cfg": "label b\n kernel gone\ninclude sub/more.cfg",
      "pxelinux.cfg/default": "label a\n kernel linux\ninclude sub/more.cfg",
    }),
    ["missing-file sub/more.cfg:2"],
    "a file that includes itself is read once",
  );
});

t.test("reasonable trees", async (t) => {
  const label = "label a\n kernel linux";
  const menus = {
    "pxelinux.cfg/default": "menu include pxelinux.cfg/graphics.conf The title\ninclude pxelinux.cfg/local\n",
    "pxelinux.cfg/graphics.conf": "default local\ninclude site.cfg\nmenu background x.png",
    "pxelinux.cfg/local": "label local\n localboot 0",
    "pxelinux.cfg/README": "Default entries are here.\nLabel them well.\nKernel and initrd\n",
    "pxelinux.cfg/default~": "default gone",
    "pxelinux.cfg/default.dpkg-old": "default gone",
    "pxelinux.cfg/default_backup": "default gone",
    "pxelinux.cfg/default.txt": "default gone",
  };
  t.same(
    await places({ ...boot, ...menus }),
    [],
    "included parts, notes and backups of a configuration have no findings",
  );
  t.same(
    await places({ ...boot, "pxelinux.cfg/of-dhcp": "default gone" }),
    ["missing-file pxelinux.cfg/of-dhcp:1"],
    "a file that no configuration includes is checked",
  );
  t.same(
    await places({
      ...boot,
      "lib/menu.c32": elf(32),
      "pxelinux.cfg/default": `ui menu.c32\npath lib\n${label}`,
    }),
    [],
    "a path may come after the module that is looked for on it",
  );
  const elsewhere = "label a\n kernel boot-server::/linux\n initrd 192.0.2.1::initrd,tftp://192.0.2.1/x";
  t.same(await places({ ...boot, "pxelinux.cfg/default": elsewhere }), []);
  const memdisk =
    "label a\n linux memdisk\n initrd dos.img.gz\nlabel b\n kernel wimboot\n initrd BCD,boot.wim";
  const images = {
    memdisk: kernel("MEMDISK 6.04"),
    wimboot: "MZ",
    "dos.img.gz": gzipSync("\xeb\x3c\x90MSDOS5.0"),
    BCD: "regf",
    "boot.wim": "MSWIM\0\0\0",
  };
  t.same(await places({ ...boot, ...images, "pxelinux.cfg/default": memdisk }), []);
  t.same(
    await places({
      "isolinux/isolinux.cfg":
        "ui vesamenu.c32\nlabel a\n kernel /casper/vmlinuz\n append initrd=/casper/initrd.lz",
      "isolinux/vesamenu.c32": "",
      "isolinux/isolinux.bin": "ISOLINUX 6.04",
      "casper/vmlinuz": kernel("6.8.0"),
      "casper/initrd.lz": "LZIP",
    }),
    ["empty-file isolinux/vesamenu.c32"],
  );
});

t.test("SYSLINUX keywords, paths and menus are read as SYSLINUX reads them", async (t) => {
  const more = {
    "memtest-6.10.bin": "x",
    "fit.itb": "x",
    "lib/x.c32": elf(32),
    "sub/menu.cfg": "label b\n kernel gone",
    "mboot.c32": elf(32),
    "menu.c32": elf(32),
    "dir/menu.cfg": "label a\n kernel x",
    "dir/x": kernel("6.1.0"),
    hosts: cpio(["lib/modules/5.10.0/a"]),
  };
  const found = (config: string) => places({ ...boot, ...more, "pxelinux.cfg/default": config });
  const right = {
    "a text for users":
      "label a\n text help\n  Boot from the disk\n  Default is good\n  Include all\n ENDTEXT\n localboot 0",
    "the last kernel": "label a\n kernel gone\n kernel linux\nlabel b\n kernel gone\n localboot 0",
    "the last append": "label a\n kernel linux\n append initrd=gone\n append initrd=initrd",
    "an append that is reset": "append initrd=gone\nlabel a\n kernel linux\n append -",
    "an append of all, and a menu": "append quiet\nlabel a\n kernel menu.c32\nlabel b\n kernel linux",
    "tabs, and lines of Windows": "LABEL\ta\r\n\tKERNEL\tlinux\r\n\tAPPEND\tinitrd=initrd quiet\r\n",
    "a name with a dot and without its extension": "label a\n kernel memtest-6.10",
    "a path of version 6": "path /none /lib\ndefault x.c32",
    "a menu by its short name": "append quiet\ndefault menu\nlabel a\n kernel menu",
    "a label of which only the first word counts": "default my\nlabel my label\n kernel linux",
    "a heading without a name": "label\n menu label A heading\nlabel a\n kernel linux",
    "entries that boot nothing":
      "label a\n kernel gone\n menu disable\nlabel b\n menu goto x\nlabel -\n menu label A heading\nlabel c\n kernel linux\nmenu separator\n kernel gone\nmenu begin x\n kernel gone",
    "an initrd and an argument": "label a\n kernel linux\n initrd initrd quiet",
    "another directory for another menu": "label a\n config dir/menu.cfg\n append dir/",
    "a menu of its own": "label a\n kernel menu.c32\n append ~",
    "a part on another server": "include http://192.0.2.1/menu.cfg\ndefault a",
    Xen: "label a\n kernel mboot.c32\n append linux dom0=1 --- linux quiet --- initrd",
    ESXi: "label a\n kernel mboot.c32\n append -c boot.cfg",
    "U-Boot's": "label a\n kernel fit.itb#conf-1\n fdt fit.itb\n fdtdir /dtbs\nlabel b\n linux linux\n fdt -",
    "U-Boot's directory": "label a\n kernel ../linux\n fdtdir ..",
  };
  for (const [name, config] of Object.entries(right)) t.same(await found(config), [], name);
  const wrong = {
    "append initrd=gone\nlabel a\n kernel linux": ["missing-file pxelinux.cfg/default:1"],
    "label linux\n initrd gone": ["missing-file pxelinux.cfg/default:2"],
    "label a\n kernel": ["missing-file pxelinux.cfg/default:2"],
    "label a\n kernel linux\n initrd": ["missing-file pxelinux.cfg/default:3"],
    "label a\n kernel linux\n append initrd= quiet": ["missing-file pxelinux.cfg/default:3"],
    "label a\n kernel linux\n initrd initrd, initrd": ["missing-file pxelinux.cfg/default:3"],
    "label a\n fdimage gone.img": ["missing-file pxelinux.cfg/default:2"],
    "label a\n kernel ::gone": ["missing-file pxelinux.cfg/default:2"],
    "ontimeout gone\nlabel a\n kernel linux": ["missing-file pxelinux.cfg/default:1"],
    "default linux initrd=gone": ["missing-file pxelinux.cfg/default:1"],
    "label a\n kernel gone\nlabel a\n kernel linux": ["missing-file pxelinux.cfg/default:2"],
    "label a\n kernel linux\n fdt gone.dtb": ["missing-file pxelinux.cfg/default:3"],
    "label a\n kernel linux\n fdtoverlays fit.itb gone.dtbo": ["missing-file pxelinux.cfg/default:3"],
    "label a\n kernel menu.c32\n append gone.cfg sub/menu.cfg": [
      "missing-file pxelinux.cfg/default:3",
      "missing-file sub/menu.cfg:2",
    ],
    "label a\n config dir/menu.cfg\n append sub": ["missing-file dir/menu.cfg:2"],
    "ui menu.c32 sub/menu.cfg": ["missing-file sub/menu.cfg:2"],
    "label a\n config sub/menu.cfg\nlabel c\n config gone.cfg": [
      "missing-file pxelinux.cfg/default:4",
      "missing-file sub/menu.cfg:2",
    ],
    "label a\n kernel mboot.c32\n append linux --- gone": ["missing-file pxelinux.cfg/default:3"],
    "append initrd=hosts\nlabel a\n kernel linux": ["kernel-modules pxelinux.cfg/default:3"],
  };
  for (const [config, findings] of Object.entries(wrong)) t.same(await found(config), findings, config);
  const [finding] = await linted({
    ...boot,
    "menu.c32": elf(32),
    "pxelinux.cfg/default": "ui menu.c32\ndefault x\nlabel a\n kernel linux",
  });
  t.match(finding?.outcome, "begins with its first one");
  const circle = "label a\n config pxelinux.cfg/A\nlabel b\n config pxelinux.cfg/B\nlabel c\n config c.cfg";
  const circular = { "pxelinux.cfg/A": circle, "pxelinux.cfg/B": circle, "c.cfg": circle };
  t.same(await places({ ...boot, ...circular }), [], "they lead to one another");
});

t.test("hostile trees take little time and yield a limited number of short findings", async (t) => {
  const blanks = `kernel x${" ".repeat(900_000)}y`;
  const many = `path ${"a:".repeat(7000)}\n${Array.from({ length: 1000 }, (_, n) => `label ${n}\n kernel gone${n}\n`).join("")}`;
  const circle = Array.from({ length: 50 }, (_, n) => [
    `pxelinux.cfg/${n.toString(16).toUpperCase()}`,
    Array.from({ length: 50 }, (_, m) => `include pxelinux.cfg/${m.toString(16).toUpperCase()}`).join("\n"),
  ]);
  t.same(await places({ "pxelinux.cfg/default": blanks, ...Object.fromEntries(circle) }), []);
  const found = await linted({
    "pxelinux.cfg/default": many,
    "pxelinux.cfg/A": many,
    "pxelinux.cfg/B": many,
  });
  t.ok(found.length < 3000, `${found.length} findings`);
  t.match(
    await linted({ "pxelinux.cfg/default": `default \x1b[2J${"x".repeat(9000)}` }),
    exactly({ problem: /^names .\[2Jx{150,200}…, which is not there$/ }),
  );
});

t.test("configurations that no machine requests", async (t) => {
  const config = "label a\n kernel linux";
  const findings = await linted({
    ...boot,
    "pxelinux.cfg/01-52-54-00-12-34-56": config,
    "pxelinux.cfg/C0A80001": config,
    "pxelinux.cfg/c0a80002": config,
    "pxelinux.cfg/52:54:00:AB:CD:EF": config,
    "pxelinux.cfg/b8945908-d6a6-41a9-611d-74a6ab80b83d": config,
    "pxelinux.cfg/B8945908-D6A6-41A9-611D-74A6AB80B83E": config,
    "pxelinux.cfg/default": config,
    "efi/pxelinux.cfg/Default": config,
  });
  t.same(
    findings.map(({ kind, file, advice }) => [kind, file, advice]),
    [
      ["config-name", "efi/pxelinux.cfg/Default", "PXELINUX asks for default"],
      [
        "config-name",
        "pxelinux.cfg/52:54:00:AB:CD:EF",
        "For this MAC, PXELINUX asks for 01-52-54-00-ab-cd-ef",
      ],
      [
        "config-name",
        "pxelinux.cfg/B8945908-D6A6-41A9-611D-74A6AB80B83E",
        "PXELINUX asks for a UUID in lower case: b8945908-d6a6-41a9-611d-74a6ab80b83e",
      ],
      ["config-name", "pxelinux.cfg/c0a80002", "PXELINUX asks for an address in upper case: C0A80002"],
    ],
  );
});

t.test("text as editors of Windows save it", async (t) => {
  const config = "default a\nlabel a\n kernel linux\n";
  const found = (text: Buffer | string, path = "pxelinux.cfg/default") => places({ ...boot, [path]: text });
  const wide = Buffer.from(`\u{feff}${config}`, "utf16le");
  t.same(await found(`\u{feff}# menu\n${config}`), []);
  t.same(await found(`\u{feff}${config}`), ["broken-image pxelinux.cfg/default:1"]);
  t.same(await found(wide), ["broken-image pxelinux.cfg/default:1"]);
  t.same(await found(Buffer.from(wide).swap16()), ["broken-image pxelinux.cfg/default:1"]);
  t.same(await found("\u{feff}linux /linux\n", "grub/grub.cfg"), ["broken-image grub/grub.cfg:1"]);
});

t.test("a directory that no machine asks for", async (t) => {
  const [finding, ...others] = await linted({ ...boot, "PXELINUX.cfg/default": "default linux" });
  t.match(finding, { kind: "config-name", file: "PXELINUX.cfg", advice: /in pxelinux\.cfg$/ });
  t.same(others, []);
});

t.test("loaders and modules", async (t) => {
  const config = { "pxelinux.cfg/default": "label a\n kernel linux", linux: kernel("6.1.0") };
  t.same(await places({ ...config, "pxelinux.0": LOADER }), ["missing-module pxelinux.0"]);
  t.same(await places({ ...config, "pxelinux.0": "PXELINUX 4.05 2011" }), [], "needs none");
  t.same(await places({ ...config, "pxelinux.0": LOADER, "ldlinux.c32": elf(64) }), [
    "foreign-module pxelinux.0",
  ]);
  const near = await linted({ ...config, "pxelinux.0": LOADER, "LDLINUX.C32": CORE });
  t.match(near[0]?.advice, "There is LDLINUX.C32");
  t.same(
    await places({
      ...config,
      "lib/pxelinux.0": LOADER,
      "pxelinux.0": { link: "lib/pxelinux.0" },
      "ldlinux.c32": CORE,
    }),
    [],
    "a loader may be started by a link that has the module beside it",
  );
  t.same(
    await places({
      ...config,
      "pxelinux.0": LOADER,
      "ldlinux.c32": CORE,
      "menu.c32": elf(32, ["libutil.c32", "ldlinux.c32"]),
    }),
    ["missing-module menu.c32"],
  );
  t.same(
    await places({ "pxelinux.0": LOADER }),
    [],
    "a loader in a tree without any configuration has no findings",
  );
  // Version 4, whose modules are not ELF files.
  const old = Buffer.from("b8ff4ccd2100", "hex");
  const whole = { ...config, "pxelinux.0": LOADER, "ldlinux.c32": CORE };
  for (const menu of [old, elf(64)]) {
    t.same(await places({ ...whole, "menu.c32": menu }), ["foreign-module menu.c32"]);
    t.same(
      await places({ ...whole, "other/menu.c32": menu }),
      [],
      "a module elsewhere may belong to another loader",
    );
  }
  t.same(await places({ ...whole, "ldlinux.c32": old }), ["foreign-module pxelinux.0"]);
  t.same(await places({ ...config, "pxelinux.0": "PXELINUX 4.05 2011", "menu.c32": elf(32) }), [
    "foreign-module menu.c32",
  ]);
  t.same(
    await places({ ...whole, "old.0": "PXELINUX 4.05 2011", "menu.c32": old }),
    [],
    "a module may belong to another loader beside it",
  );
});
