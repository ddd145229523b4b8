/** docs/SEMANTICS.md, "Content and attributes": how readers see a tree, and what it costs to read it again. */
import { createHash, randomBytes, randomInt } from "node:crypto";
import { chmod, mkdir, readFile, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { eventually, HUNG, sh } from "../mount/mounts.ts";
import { startMountable } from "../support/mountable.ts";

t.setTimeout(10 * HUNG);

const MiB = 1024 * 1024;
/** A user and a group that have no names. */
const [USER, GROUP] = [12_345, 54_321];

/** Writes a tree that touches every limit. */
async function writeTree(root: string): Promise<void> {
  await mkdir(join(root, "deep/er/and/deeper"), { recursive: true });
  await mkdir(join(root, "empty directory"));
  await mkdir(join(root, "many"));
  for (const size of [0, 1, 511, 512, 513, MiB - 1, MiB, MiB + 1, 5_000_003]) {
    await writeFile(join(root, `size-${size}`), randomBytes(size));
  }
  for (let i = 0; i < 300; i++) await writeFile(join(root, `many/${i}.mod`), randomBytes(randomInt(20_000)));
  await writeFile(join(root, "größe-日本語-🥾"), "names are UTF-8\n");
  await writeFile(join(root, "n".repeat(255)), "the longest name\n");
  await writeFile(join(root, "deep/er/and/deeper/file"), "deep\n");
  await writeFile(join(root, "tool"), "#!/bin/sh\n");
  await chmod(join(root, "tool"), 0o755);
  await symlink("size-1", join(root, "link"));
  await symlink("deep/er", join(root, "link to a directory"));
  await symlink("../../tool", join(root, "deep/er/up"));
  await utimes(join(root, "size-512"), 1_000_000_000, 1_000_000_000);
}

const c = await startMountable(t);
await writeTree(c.tree);
await c.publish({});
const mounted = await c.mount("--refresh", "0.3", "--quiet", "0");

/** Runs a program as a user who owns nothing. */
function as(user: number, group: number, ...command: string[]) {
  return sh("setpriv", `--reuid=${user}`, `--regid=${group}`, "--clear-groups", ...command);
}

t.test("26. reads return what was published: names, bytes, links, times, executable bits", async (t) => {
  const { mountpoint, at } = mounted;
  const difference = await sh("diff", "-r", "--no-dereference", c.tree, mountpoint);
  t.equal(difference.code, 0, "diff -r finds nothing", { difference });
  const listing = ["-printf", "%P %y %s %l %T@\\n"];
  const [ours, theirs] = await Promise.all(
    [mountpoint, c.tree].map((root) => sh("find", root, "-mindepth", "1", "!", "-type", "d", ...listing)),
  );
  const sorted = (text: string) =>
    text
      .split("\n")
      // The mount has times in milliseconds.
      .map((line) => line.replace(/(\.\d{3})\d*$/, "$1"))
      .sort();
  t.ok(sorted(ours!.stdout).length > 300);
  t.strictSame(sorted(ours!.stdout), sorted(theirs!.stdout), "names, kinds, sizes, targets and times");
  const modes = ["tool", "link", "size-1", "deep"].map(at);
  const { stdout } = await sh("stat", "-c", "%A", ...modes);
  t.equal(
    stdout,
    "-r-xr-xr-x\nlrwxrwxrwx\n-r--r--r--\ndr-xr-xr-x\n",
    "files have the executable bit only if they were published with it",
  );
  for (const directory of ["", "empty directory", "deep/er"]) {
    t.equal((await sh("stat", "-c", "%s %b", at(directory))).stdout, "4096 8\n", `size of "${directory}"`);
    t.match(await sh("cat", at(directory)), { code: 1, stdout: "", stderr: /Is a directory/ });
  }
});

t.test("27. the mount is ro, nosuid, nodev, noexec, default_permissions and allow_other", async (t) => {
  const optionsOf = async (mountpoint: string) => {
    const { stdout } = await sh("grep", "-F", ` ${mountpoint} `, "/proc/mounts");
    const [source, , type, options] = stdout.split(" ");
    t.same([source, type], [c.id, "fuse.icfs"]);
    return options!.split(",");
  };
  const always = ["ro", "nosuid", "nodev", "noexec", "default_permissions"];
  const options = await optionsOf(mounted.mountpoint);
  for (const option of [...always, "allow_other"]) t.ok(options.includes(option), option);
  const { code, stderr } = await sh(mounted.at("tool"));
  t.not(code, 0, `no file can be executed: ${stderr}`);
  const alone = await c.mount("--no-allow-other");
  const fewer = await optionsOf(alone.mountpoint);
  for (const option of always) t.ok(fewer.includes(option), `${option}, with --no-allow-other`);
  t.notOk(fewer.includes("allow_other"), "--no-allow-other");
  t.match((await as(USER, GROUP, "cat", alone.at("tool"))).stderr, /Permission denied/);
  await alone.umount();

  await t.test(
    "statfs reports no blocks or inodes: neither df nor monitoring takes the mount for a disk",
    async (t) => {
      const { mountpoint } = mounted;
      const { stdout } = await sh("stat", "-f", "-c", "%S %b %f %a %c %d %l", mountpoint);
      t.equal(
        stdout,
        "4096 0 0 0 0 0 255\n",
        "statfs reports no blocks or inodes, and names of up to 255 bytes",
      );
      for (const what of ["pcent", "ipcent"]) {
        t.match((await sh("df", `--output=${what}`, mountpoint)).stdout, /^.*\n *-\n$/, `df: ${what}`);
      }
      t.notMatch((await sh("df")).stdout, mountpoint, "df leaves the mount out");
      const thresholds = ["-w", "10%", "-c", "5%", "-W", "10%", "-K", "5%"];
      // check_disk looks at every file system of this type, and prints a line for each that it takes for a disk.
      const checked = await sh("/usr/lib/nagios/plugins/check_disk", ...thresholds, "-N", "fuse.icfs");
      t.notMatch(checked.stdout, mountpoint, "check_disk does not mention the mount");
    },
  );
});

t.test(
  "28. owner, group and permissions are what the options say; by default everybody can read",
  async (t) => {
    const stat = async (path: string) => (await sh("stat", "-c", "%u:%g %a", path)).stdout.trim();
    t.equal(await stat(mounted.at("size-1")), "0:0 444");
    t.equal(await stat(mounted.mountpoint), "0:0 555");
    t.equal((await as(USER, GROUP, "cat", mounted.at("tool"))).stdout, "#!/bin/sh\n");
    t.equal((await as(USER, GROUP, "ls", mounted.at("many"))).stdout.split("\n").length, 301);

    const ids = ["--uid", String(USER), "--gid", String(GROUP)];
    const { at, mountpoint, umount } = await c.mount(...ids, "--file-mode", "0440", "--dir-mode", "0500");
    t.equal(await stat(at("size-1")), `${USER}:${GROUP} 440`);
    t.equal(
      await stat(at("tool")),
      `${USER}:${GROUP} 550`,
      "an executable file gets x wherever the mode has r",
    );
    t.equal(await stat(at("deep")), `${USER}:${GROUP} 500`);
    t.equal((await as(USER, 1, "cat", at("tool"))).stdout, "#!/bin/sh\n", "the owner");
    t.match(
      (await as(1, GROUP, "cat", at("tool"))).stderr,
      /Permission denied/,
      "the group cannot enter the mount",
    );
    t.match((await as(1, 1, "ls", mountpoint)).stderr, /Permission denied/, "others cannot list the mount");
    await umount();

    const named = await c.mount("--uid", "nobody", "--gid=nogroup");
    const { stdout: nobody } = await sh("sh", "-c", "echo $(id -u nobody):$(id -g nobody) 444");
    t.equal(
      await stat(named.at("size-1")),
      nobody.trim(),
      "names of users and groups are resolved to numbers",
    );
    t.equal(
      await stat(named.at("link")),
      nobody.trim().replace("444", "777"),
      "a symlink has the same owner and group",
    );
    await named.umount();
    for (const [option, name] of [
      ["--uid", "no-such-user"],
      ["--gid", "no-such-group"],
    ] as const) {
      const { code, stderr } = await c.tryMount(option, name);
      t.equal(code, 2, "wrong usage");
      t.match(stderr, new RegExp(`there is no (user|group) "${name}" on this host`));
    }
  },
);

t.test(
  "29. reading again costs nothing in user space, even after a switch that does not change the file",
  async (t) => {
    const { at, status } = mounted;
    const reads = async () => (await status()).readers.reads;
    const files = ["size-1048575", "size-1048576", "size-5000003"];
    const map =
      "import mmap, sys; f = open(sys.argv[1], 'rb'); print(len(bytes(mmap.mmap(f.fileno(), 0, prot=1))))";
    /** The share of the files' bytes that the kernel has. Opening a file must not drop its pages. */
    const kept = async () => {
      const { stdout } = await sh(
        "fincore",
        "--bytes",
        "--noheadings",
        "--output",
        "RES,SIZE",
        ...files.map(at),
      );
      const rows = stdout
        .trim()
        .split("\n")
        .map((row) => row.trim().split(/\s+/).map(Number));
      return (
        rows.reduce((sum, [inMemory]) => sum + inMemory!, 0) / rows.reduce((sum, [, size]) => sum + size!, 0)
      );
    };
    const readThrough = async (name: string) => {
      const path = at(name);
      const before = await reads();
      for (let i = 0; i < 2; i++) t.equal((await sh("cat", path)).code, 0);
      t.equal((await as(USER, GROUP, "sha256sum", path)).code, 0);
      t.equal((await sh("cmp", path, join(c.tree, name))).code, 0);
      t.equal((await sh("python3", "-c", map, path)).stdout, `${name.split("-")[1]}\n`);
      return (await reads()) - before;
    };
    const again = async (when: string) => {
      // A kernel that runs short of memory frees some pages of files in use, but not most of them.
      const share = await kept();
      t.ok(share > 0.5, `${when}: the kernel has ${(100 * share).toFixed()} % of the files`);
      for (const name of files) {
        const costs: number[] = [];
        while (costs.at(-1) !== 0 && costs.length < 10) costs.push(await readThrough(name));
        t.equal(costs.at(-1), 0, `${when}: ${name} is read without the mount: ${costs}`);
      }
    };
    await again("it has been read before");
    await c.publish({ "size-1048577": randomBytes(MiB) });
    await eventually("release 2 is live", async () => (await status()).release === 2);
    await again("after a switch");
    const before = await reads();
    t.equal((await sh("cmp", at("size-1048577"), join(c.tree, "size-1048577"))).code, 0);
    t.ok((await reads()) > before, "reading a changed file reaches the mount");
  },
);

t.test(
  "30. extended attributes: user.icfs.sha256, .release, .canister, .verified, .certified_at",
  async (t) => {
    const names = ["sha256", "release", "canister", "verified", "certified_at"].map(
      (name) => `user.icfs.${name}`,
    );
    const script = `
import json, os, sys
path, *names = sys.argv[1:]
found = {}
for name in names:
    try:
        found[name] = os.getxattr(path, name, follow_symlinks=False).decode()
    except OSError as error:
        assert os.strerror(error.errno) == "No data available", error
print(json.dumps({"found": found, "listed": os.listxattr(path, follow_symlinks=False)}))
`;
    const xattrs = async (path: string) =>
      JSON.parse((await sh("python3", "-c", script, path, ...names)).stdout) as {
        found: Record<string, string>;
        listed: string[];
      };
    const listing = await c.mount("--list-xattrs");
    // The file has been in the tree since release 1.
    const of = { "user.icfs.release": "2", "user.icfs.canister": c.id, "user.icfs.verified": "certified" };
    const sha256 = createHash("sha256")
      .update(await readFile(join(c.tree, "size-1048576")))
      .digest("hex");
    for (const [how, { at }, lists] of [
      ["by default", mounted, false],
      ["--list-xattrs", listing, true],
    ] as const) {
      const file = await xattrs(at("size-1048576"));
      const { "user.icfs.certified_at": certifiedAt, ...others } = file.found;
      t.same(others, { "user.icfs.sha256": sha256, ...of }, `${how}: attributes of a file`);
      t.match(certifiedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      t.ok(Math.abs(Date.parse(certifiedAt!) - Date.now()) < 5 * HUNG, String(certifiedAt));
      t.same(
        file.listed.sort(),
        lists ? [...names, "user.icfs.origin"].sort() : [],
        `${how}: listed attributes of a file`,
      );
      const directory = await xattrs(at("deep"));
      const { "user.icfs.certified_at": _, ...rest } = directory.found;
      t.same(rest, of, `${how}: a directory has no hash`);
      t.equal(directory.listed.length, lists ? 4 : 0, `${how}: listed attributes of a directory`);
      for (const link of ["link", "link to a directory", "deep/er/up"]) {
        t.same(
          await xattrs(at(link)),
          { found: {}, listed: [] },
          `${how}: the symlink ${link} has no attributes`,
        );
      }
    }
    await listing.umount();

    await t.test(
      "programs that copy extended attributes copy the tree, and the attributes only if they are listed",
      async (t) => {
        const listing = await c.mount("--list-xattrs");
        // tmpfs keeps attributes only in newer kernels; an image of ext4 always does.
        const work = join(c.directory, "copies");
        await mkdir(work);
        const copied = async (path: string) =>
          (await sh("getfattr", "-R", "-P", "-d", "-m", "-", path)).stdout;
        for (const [how, { mountpoint }, attributes] of [
          ["by default", mounted, false],
          ["--list-xattrs", listing, true],
        ] as const) {
          const to = (name: string) => join(work, `${name}-${attributes}`);
          const commands = {
            "rsync -aX": ["rsync", "-aX", `${mountpoint}/`, to("rsync")],
            "cp -a": ["cp", "-a", mountpoint, to("cp")],
            "tar --xattrs": ["tar", "--xattrs", "-C", mountpoint, "-cf", to("tar"), "."],
            mksquashfs: ["mksquashfs", mountpoint, to("squashfs"), "-no-progress"],
            "mkfs.ext4 -d": ["mkfs.ext4", "-q", "-d", mountpoint, to("ext4"), "64M"],
          };
          for (const [name, [program, ...parameters]] of Object.entries(commands)) {
            const { code, stderr } = await sh(program!, ...parameters);
            t.same({ code, stderr }, { code: 0, stderr: "" }, `${name}, ${how}`);
          }
          t.equal(
            (await sh("diff", "-r", "--no-dereference", c.tree, to("rsync"))).code,
            0,
            `rsync's copy, ${how}`,
          );
          if (attributes) {
            t.match(await copied(to("rsync")), "user.icfs.sha256", "rsync copies the listed attributes");
          } else {
            t.equal(await copied(to("rsync")), "", "rsync copies no attributes that are not listed");
            t.equal(await copied(to("cp")), "", "cp copies no attributes that are not listed");
            const stat = (name: string) => sh("debugfs", "-R", `ea_list /${name}`, to("ext4"));
            for (const name of ["size-1", "deep"])
              t.notMatch(
                (await stat(name)).stdout,
                /icfs/,
                "mkfs.ext4 copies no attributes that are not listed",
              );
          }
        }
        await listing.umount();
      },
    );
  },
);
