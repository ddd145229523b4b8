/**
 * The Debian package in a clean Debian: it installs with its dependencies, and mounts for root without an environment; a mount
 * outlives an upgrade and the removal of its package; a purge leaves nothing behind, and removes nobody else's files. In Debian 12;
 * deb-trixie.long.ts runs it in Debian 13.
 */
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { eventually } from "../mount/mounts.ts";
import { chroot } from "../support/chroot.ts";
import { debianRoot, type Release } from "../support/debian-root.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { makeDeb } from "../support/make.ts";
import { startMountable } from "../support/mountable.ts";

t.setTimeout(1_800_000);

const release: Release = process.env.TEST_RELEASE === "trixie" ? "trixie" : "bookworm";
/** Newer than any version. */
const NEWER = "99.0.0";
/** What apt, dpkg and the kernel write themselves. */
const NOT_THE_PACKAGE =
  /^\/(proc|dev|sys|run|mnt)(\/|$)|^\/var\/(lib|cache|log)\/(apt|dpkg)(\/|$)|^\/var\/log\/(dpkg|alternatives)\.log$|^\/(etc\/ld\.so\.cache|var\/cache\/(ldconfig|debconf))(\/|$)/;

const c = await startMountable(t);
const work = await temporaryDirectory(t);
const root = join(work, "root");
await debianRoot(root, { release });
const debian = await chroot(t, root);
const listing = async () => {
  const { stdout } = await debian.run(["find", "/", "-mount", "-print0"]);
  return (
    stdout
      .split("\0")
      // A live mount writes its files under such names first.
      .filter((path) => path !== "" && !NOT_THE_PACKAGE.test(path) && !path.endsWith(".new"))
      .sort()
  );
};
const apt = (...args: string[]) => debian.run(["apt-get", "--yes", ...args]);
/** As at boot: without a PATH, a HOME, or any other variable. */
const bare = (...command: string[]) => debian.run(command, {});
const silent = { code: 0, stdout: "", stderr: "" };
const MOUNTPOINT = "/srv/tftp";
/** Where `systemctl enable` makes its links. */
const WANTS = "/etc/systemd/system/multi-user.target.wants";
const fstab = join(root, "etc/fstab");
const isTree = async (at = MOUNTPOINT) =>
  (await debian.outside("diff", "-r", c.tree, join(root, at))).code === 0;

/** Builds a package where apt in the chroot can take it from. @returns its path there */
async function build(...parameters: string[]): Promise<string> {
  return join("/mnt", basename(await makeDeb(join(root, "mnt"), ...parameters)));
}

const now = await build();
const again = [await readFile(join(root, now)), await readFile(join(root, await build()))];
const newer = await build(`VERSION=${NEWER}`);

for (const path of [MOUNTPOINT, WANTS]) await mkdir(join(root, path), { recursive: true });
await c.publish({
  "pxelinux.0": "loader\n",
  "pxelinux.cfg/default": "menu\n",
  initrd: Buffer.alloc(3_000_000, "x"),
});
const { version } = JSON.parse(
  await readFile(fileURLToPath(new URL("../../package.json", import.meta.url)), "utf8"),
);
if ((await apt("update")).code !== 0) throw new Error("apt-get update failed");
// fuse3 depends on adduser. Debian 13's apt uses it too, so it is never removed there.
if ((await apt("install", "--no-install-recommends", "adduser")).code !== 0) throw new Error("apt failed");
const before = await listing();
const options = `network=${c.proxy.url},root-key=/etc/icfs/root.key,refresh=1,quiet=0`;

t.test("the package installs with its dependencies", async (t) => {
  t.ok(again[0]!.equals(again[1]!), "the same sources give the same package");
  t.match(await apt("install", "--no-install-recommends", now), { code: 0 });
  t.same(await bare("/usr/bin/icfs", "--version"), { ...silent, stdout: `${version}\n` });
  const { stdout: owned } = await debian.run(["dpkg-query", "-L", "icfs"]);
  for (const path of [
    ...[
      "sbin/mount.icfs",
      "sbin/mount.fuse.icfs",
      "share/man/man1/icfs.1.gz",
      "share/man/man8/mount.icfs.8.gz",
    ],
    ...["share/bash-completion/completions/icfs", "share/fish/vendor_completions.d/icfs.fish"],
    ...["share/zsh/vendor-completions/_icfs", "share/doc/icfs/copyright"],
  ]) {
    t.ok(owned.split("\n").includes(`/usr/${path}`), path);
  }
  t.same(await debian.run(["dpkg", "--verify", "icfs"]), silent, "every installed file is as packed");
  t.match(
    await debian.run(["dpkg-query", "--show", `--showformat=\${Conffiles}`, "icfs"]),
    { stdout: /^ \/etc\/logrotate\.d\/icfs [0-9a-f]{32}$/m },
    "the logrotate file is a conffile, so that a host's changes are kept",
  );
  await writeFile(join(root, "etc/icfs/root.key"), c.rootKey);
});

t.test("code compiled for root is kept only where nobody else can write", async (t) => {
  const compiled = join(root, "var/cache/icfs-node");
  await rm(compiled, { recursive: true });
  const home = { HOME: "/tmp/home", XDG_CACHE_HOME: "/tmp/home/cache" };
  const version = ["/usr/bin/icfs", "--version"];
  t.match(await debian.run(version, home), { code: 0 });
  t.same(await readdir(join(root, "tmp")), [], "root's compiled code is not in a home directory");
  t.ok((await readdir(compiled)).length > 0, "root's compiled code is in /var/cache/icfs-node");
  const user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  t.match(await debian.run([...user, ...version], { ...home, PATH: "/usr/bin:/bin" }), { code: 0 });
  t.same(await readdir(join(root, "tmp/home/cache")), ["icfs-node"], "a user's is");
  await rm(join(root, "tmp/home"), { recursive: true });
});

t.test("root without an environment can mount over either transport", async (t) => {
  for (const transport of ["fuse-native", "kernel"]) {
    const how = `${options},transport=${transport}`;
    t.same(await bare("/bin/mount", "-t", "icfs", c.id, MOUNTPOINT, "-o", how), silent);
    t.ok(await isTree(), `${transport}: every byte`);
    t.same(await bare("/bin/umount", MOUNTPOINT), silent);
  }
  const empty = await readFile(fstab);
  await writeFile(fstab, `${c.id} ${MOUNTPOINT} icfs ro,_netdev,nofail,${options} 0 0\n`);
  t.same(await bare("/bin/mount", "-a"), silent, "mount -a");
  await writeFile(fstab, empty);
});

/** Publishes a release. Only a process that runs now can fetch, verify and serve it. */
async function followed(name: string): Promise<void> {
  await c.publish({ [name]: `${name}\n` });
  await eventually(`the mount has ${name}`, () => isTree());
}

t.test("a mount survives an upgrade and follows releases", async (t) => {
  t.match(await apt("install", newer), { code: 0 });
  t.same(await bare("/usr/bin/icfs", "--version"), { ...silent, stdout: `${version}\n` });
  t.match((await debian.run(["dpkg-query", "-W", "icfs"])).stdout, NEWER);
  await followed("after-the-upgrade");
  t.match(
    (await bare("/usr/bin/icfs", "status", MOUNTPOINT)).stdout,
    /release +2 of/,
    "the running mount answers the new program's status",
  );
});

t.test("a purge is refused while something is mounted, before anything is removed", async (t) => {
  const ways = { "apt purge": ["apt-get", "--yes", "purge"], "dpkg --purge": ["dpkg", "--purge"] };
  const installed = await listing();
  for (const [way, command] of Object.entries(ways)) {
    const { code, stderr } = await debian.run([...command, "icfs"]);
    t.not(code, 0, way);
    t.match(
      stderr,
      new RegExp(`icfs: still serving ${MOUNTPOINT} from its cache, and nothing was removed: umount it`),
    );
    t.match((await debian.run(["dpkg", "--status", "icfs"])).stdout, /^Status: \w+ ok installed$/m, way);
    t.same(await listing(), installed, "a refused purge removes no file");
    t.same(
      await debian.run(["dpkg", "--verify", "icfs"]),
      silent,
      "every file is as packed after a refused purge",
    );
  }
  t.match(
    await bare("/usr/bin/icfs", "status", MOUNTPOINT),
    { code: 0, stderr: "" },
    "the program still works",
  );
  await followed("after-the-refusal");
});

t.test("a mount survives the package's removal, which reports it", async (t) => {
  // A second mount, which has done nothing since it began.
  const later = "/srv/later";
  t.same(await bare("/bin/mkdir", later), silent);
  const how = options.replace("refresh=1", "refresh=0");
  t.same(await bare("/bin/mount", "-t", "icfs", c.id, later, "-o", how), silent);
  const [{ pid }] = JSON.parse((await bare("/usr/bin/icfs", "status", later, "--json")).stdout);
  t.match(await apt("remove", "icfs"), {
    code: 0,
    stderr: new RegExp(`still serving ${MOUNTPOINT} ${later} until`),
  });
  t.match(await debian.run(["ls", "/usr/lib/icfs"]), { code: 2 }, "the program's directory is gone");
  await followed("after-the-removal");
  t.same(await bare("/bin/sh", "-c", `kill -HUP ${pid}`), silent);
  await eventually("the other one has it, too", () => isTree(later));
  t.same(await bare("/bin/umount", later), silent);
  t.same(await bare("/bin/rmdir", later), silent);
});

t.test("a purge after the removal is refused while something is mounted", async (t) => {
  t.match(await apt("purge", "icfs"), {
    code: 100,
    stderr: new RegExp(`still serving ${MOUNTPOINT} from its cache`),
  });
  await followed("after-the-purge");
  t.same(await bare("/bin/umount", MOUNTPOINT), silent);
  const running = async () =>
    (await debian.run(["find", "/proc", "-maxdepth", "2", "-name", "exe", "-lname", "*icfs*"])).stdout;
  await eventually("its daemon has ended", async () => (await running()) === "");
});

t.test("a purge leaves nothing behind", async (t) => {
  await symlink("/usr/lib/systemd/system/icfs@.service", join(root, WANTS, "icfs@tftp.service"));
  t.match(await apt("purge", "icfs"), { code: 0 });
  t.match(await apt("autoremove", "--purge"), { code: 0 });
  t.same(await listing(), before);
});
