// biome-ignore-all lint/suspicious/noTemplateCurlyInString: iPXE has such words
import t from "tap";
import { exactly } from "../support/exactly.ts";
import { cpio, kernel, places } from "../support/linted.ts";

t.test("names are relative to the script, and only required files are reported as missing", async (t) => {
  const files = { "debian/linux": kernel("6.1.0"), "debian/initrd.gz": cpio(["init"]) };
  const good = `#!ipxe
dhcp || goto failed
kernel debian/linux initrd=initrd.magic quiet
initrd --name initrd.magic debian/initrd.gz
imgargs linux quiet
chain --autofree http://example.org/next.ipxe ||
chain \${net0/mac}.ipxe
chain gone.ipxe || goto failed
boot
:failed
shell
`;
  t.same(await places({ ...files, "boot.ipxe": good }), []);
  t.same(
    await places({
      ...files,
      "boot.ipxe": "#!ipxe\nkernel linux\ninitrd debian/initrd.gz\nchain --replace next.ipxe\n",
    }),
    ["missing-file boot.ipxe:2", "missing-file boot.ipxe:4"],
  );
  t.same(await places({ ...files, "sub/boot.ipxe": "#!ipxe\nkernel /debian/linux\n" }), []);
  t.same(await places({ ...files, notes: "kernel gone\n" }), [], "no script");
});

t.test("reasonable scripts", async (t) => {
  const scripts = {
    "an image from elsewhere":
      "kernel http://192.0.2.1/vmlinuz || goto failed\nimgargs vmlinuz quiet\nboot vmlinuz",
    "an image by its name":
      "imgfetch --name next ${base}/menu.ipxe\nimgselect next\nchain next\nkernel menu.ipxe",
    "what depends":
      "iseq ${arch} arm64 && kernel gone ||\nisset ${x} && chain gone ||\nset base http://x\nkernel ${base}/gone",
    "an address with more": "chain menu.php?mac=1\nchain menu.php##params\ninitrd a%20b",
    Windows: "kernel wimboot gui\ninitrd boot/bcd BCD\ninitrd -n boot.wim boot.wim boot.wim",
    "a line that goes on": "kernel \\\n  linux \\\n  quiet\nkernel gone \\\n || goto failed\nimgfree",
    "a comment": "kernel linux # initrd gone && kernel gone",
    "a kernel for each case": "iseq ${arch} x && kernel linux || kernel gone\ninitrd early",
    "an initrd for each case": "kernel linux\ninitrd early\nisset ${x} && initrd modules",
    "an initrd that nobody knows": "kernel linux\ninitrd early\ninitrd ${base}/modules",
    "several initrds": "kernel linux\ninitrd early\ninitrd modules",
    "a menu":
      ":start\nmenu Boot ${net0/mac}\nitem --key l linux Install\nchoose target && goto ${target}\n:linux\nkernel linux\nboot",
  };
  const files = {
    linux: kernel("6.1.0"),
    early: cpio(["lib/modules/5.10.0/a"]),
    modules: cpio(["lib/modules/6.1.0/a"]),
    wimboot: "MZ",
    "boot/bcd": "regf",
    "boot.wim": "MSWIM\0\0\0",
  };
  for (const [name, script] of Object.entries(scripts))
    t.same(await places({ ...files, "boot.ipxe": `#!ipxe\n${script}\n` }), [], name);
  const found = {
    "kernel linux && initrd gone": 2,
    "dhcp && kernel gone && boot": 2,
    "imgfree ; kernel gone": 2,
    ":a kernel gone": 2,
    "kernel \\\n gone": 2,
    ":a\nkernel a/gone\n:b\nkernel a/gone\nkernel linux": 3,
    "kernel linux || goto failed\ninitrd early || goto failed": 2,
    ":a\nkernel linux\n:b\nkernel linux\ninitrd early": 5,
  };
  for (const [script, line] of Object.entries(found))
    t.match(
      await places({ ...files, "boot.ipxe": `#!ipxe\n${script}\n` }),
      exactly(`boot.ipxe:${line}`),
      script,
    );
  const linked = { linux: files.linux, "boot.ipxe": { link: "scripts/a.ipxe" } };
  t.same(
    await places({ ...linked, "scripts/a.ipxe": "#!ipxe\nkernel linux\n" }),
    [],
    "names may be relative to a link to the script",
  );
  const many = Object.fromEntries(
    Array.from({ length: 3000 }, (_, n) => [`name${n}`, "#!ipxe\nkernel gone\n"]),
  );
  t.equal((await places(many)).length, 2000, "at most 2000 files are opened as possible scripts");
});

t.test("what iPXE takes for a script", async (t) => {
  t.same(await places({ "boot.ipxe": "#!gpxe\nkernel gone\n" }), ["missing-file boot.ipxe:2"]);
  t.same(await places({ "boot.ipxe": "#!ipxe\r\nkernel gone\r\n" }), ["missing-file boot.ipxe:2"]);
  t.same(await places({ "boot.ipxe": "", "menu.txt": "kernel gone\n" }), []);
  for (const script of ["\u{feff}#!ipxe\nshell\n", "\n#!ipxe\n", "#!ipxex\n", "kernel gone\n"])
    t.same(await places({ "boot.ipxe": script }), ["broken-image boot.ipxe:1"], script);
  const operators = `#!ipxe\n${"imgfree && \\\n".repeat(20_000)}\nkernel gone\n`;
  t.same(await places({ "boot.ipxe": operators }), ["missing-file boot.ipxe:20003"], "a hostile one");
});
