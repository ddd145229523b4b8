/** Which files a boot configuration names. */
import t from "tap";
import { filesNamedIn, isBootConfiguration } from "../../lib/live/boot-configuration.ts";
import { atOnce } from "../../lib/steps.ts";
import type { Entry, FileEntry } from "../../lib/tree/manifest.ts";
import { Tree } from "../../lib/tree/tree.ts";

function file(path: string, size = 0): FileEntry {
  return { kind: "file", path, modified: 0n, size, sha256: Buffer.alloc(32), executable: false, extents: [] };
}

function treeOf(...paths: string[]): Tree {
  const directories = new Set(
    paths.flatMap((path) => path.split("/").map((_, i, parts) => parts.slice(0, i).join("/"))),
  );
  directories.delete("");
  const entries: Entry[] = [
    ...[...directories].map((path) => ({ kind: "directory" as const, path, modified: 0n })),
    ...paths.map((path) => file(path)),
  ];
  entries.sort((a, b) => (a.path < b.path ? -1 : 1));
  return Tree.of({ chunks: [], entries }, 0n);
}

t.test("boot configurations are recognised by path and size", async (t) => {
  for (const path of [
    "pxelinux.cfg/default",
    "a/pxelinux.cfg/01-88-99",
    "grub/grub.cfg",
    "menu.ipxe",
    "x.conf",
  ]) {
    t.ok(isBootConfiguration(file(path, 100)), path);
  }
  for (const path of ["vmlinuz", "pxelinux.cfg.d/a/b", "initrd.gz", "pxelinux.0"]) {
    t.notOk(isBootConfiguration(file(path, 100)), path);
  }
  t.notOk(
    isBootConfiguration(file("grub.cfg", 1_000_000)),
    "a file that is too large is not a configuration",
  );
});

t.test("the files that a configuration names are found, in its order", async (t) => {
  const tree = treeOf(
    "pxelinux.cfg/default",
    "deb/linux",
    "deb/initrd.gz",
    "deb/extra.gz",
    "grub/grub.cfg",
    "grub/local.cfg",
    "unnamed",
  );
  const named = (path: string, text: string) =>
    atOnce(filesNamedIn(text, path, tree)).map((entry) => entry.path);
  const cases: [string, string, string[]][] = [
    [
      "pxelinux.cfg/default",
      "label a\n\tkernel deb/linux\n\tappend vga=788 initrd=deb/initrd.gz,deb/extra.gz --- quiet\n",
      ["deb/linux", "deb/initrd.gz", "deb/extra.gz"],
    ],
    [
      "grub/grub.cfg",
      "linux /deb/linux vga=1\ninitrd (tftp,10.0.0.1)/deb/initrd.gz\n",
      ["deb/linux", "deb/initrd.gz"],
    ],
    [
      "grub/grub.cfg",
      'source $prefix/local.cfg\nset x="/deb/extra.gz"\n',
      ["grub/local.cfg", "deb/extra.gz"],
    ],
    ["grub/grub.cfg", "kernel tftp://10.0.0.1/deb/linux\n# initrd /deb/initrd.gz\n", ["deb/linux"]],
    ["grub/grub.cfg", "grub.cfg ../../../etc/passwd . / deb nothing/here\n", []],
  ];
  for (const [path, text, expected] of cases) t.same(named(path, text), expected, text);
});

t.test("a maliciously expensive configuration does not hold up readers", async (t) => {
  const tree = treeOf("a", "grub.cfg");
  const links: Entry[] = Array.from({ length: 40 }, (_, i) => ({
    kind: "symlink",
    path: `l${String(i).padStart(2, "0")}`,
    modified: 0n,
    target: `${"./".repeat(2000)}${i === 39 ? "a" : `l${String(i + 1).padStart(2, "0")}`}`,
  }));
  const linked = Tree.of({ chunks: [], entries: [file("a"), ...links] }, 0n);
  const texts: [string, string, Tree, string[]][] = [
    ["brackets that nobody closes", "(".repeat(64 * 1024), tree, []],
    ["links through links", "l00 ".repeat(16 * 1024), linked, ["a"]],
  ];
  for (const [what, text, of, expected] of texts) {
    const found = filesNamedIn(text, "grub.cfg", of);
    let longest = 0;
    let steps = 0;
    for (;;) {
      const before = process.cpuUsage();
      const { done, value } = found.next();
      const { user } = process.cpuUsage(before);
      longest = Math.max(longest, user / 1000);
      steps += 1;
      if (!done) continue;
      t.same(
        value.map(({ path }) => path),
        expected,
        what,
      );
      break;
    }
    t.ok(longest < 2000, `${what}: at most ${longest} ms of CPU time per step`);
    t.ok(steps < 100, `${what}: repeated names are not looked up again (${steps} steps)`);
  }
});
