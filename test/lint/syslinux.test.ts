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
  const withOptions = "default install quiet\nlabel Install\n kernel linux";
  t.same(
    await places({ ...boot, "pxelinux.cfg/default": withOptions }),
    [],
    "the default may be a label with options",
  );
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
    "pxelinux.cfg/default": config,
  });
  t.same(
    findings.map(({ kind, file, advice }) => [kind, file, advice]),
    [
      [
        "config-name",
        "pxelinux.cfg/52:54:00:AB:CD:EF",
        "For this MAC, PXELINUX asks for 01-52-54-00-ab-cd-ef",
      ],
      ["config-name", "pxelinux.cfg/c0a80002", "PXELINUX asks for an address in upper case: C0A80002"],
    ],
  );
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
