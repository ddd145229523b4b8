import t from "tap";
import { cpio, elf, kernel, linted, places } from "../support/linted.ts";

const LOADER = "Copyright\nPXELINUX 6.04 PXE 20200816\n";
const CORE = elf(32);
const boot = { "pxelinux.0": LOADER, "ldlinux.c32": CORE, linux: kernel("6.1.0"), initrd: cpio(["init"]) };

t.test("a tree that boots has no findings, through links and with names in every form", async (t) => {
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
  // The TFTP server's directory may be one below the tree's root.
  const below = Object.entries(boot).map(([path, content]) => [`amd64/${path}`, content]);
  t.same(await places({ ...Object.fromEntries(below), "amd64/pxelinux.cfg/default": config }), []);
});

t.test("names of files that are not there", async (t) => {
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
    "a file that includes itself ends",
  );
});

t.test("configurations that no machine asks for", async (t) => {
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
    "started by a link that has its module beside it",
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
  t.same(await places({ "pxelinux.0": LOADER }), [], "a store of loaders");
  // Of version 4, whose modules are no ELF files.
  const old = Buffer.from("b8ff4ccd2100", "hex");
  const whole = { ...config, "pxelinux.0": LOADER, "ldlinux.c32": CORE };
  for (const menu of [old, elf(64)]) {
    t.same(await places({ ...whole, "menu.c32": menu }), ["foreign-module menu.c32"]);
    t.same(await places({ ...whole, "other/menu.c32": menu }), [], "it may be another loader's");
  }
  t.same(await places({ ...whole, "ldlinux.c32": old }), ["foreign-module pxelinux.0"]);
  t.same(await places({ ...config, "pxelinux.0": "PXELINUX 4.05 2011", "menu.c32": elf(32) }), [
    "foreign-module menu.c32",
  ]);
  t.same(
    await places({ ...whole, "old.0": "PXELINUX 4.05 2011", "menu.c32": old }),
    [],
    "there is a loader for it",
  );
});
