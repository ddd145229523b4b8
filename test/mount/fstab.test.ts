/** The real mount(8), umount(8) and findmnt(8) over mounts of type icfs. */
import { chmod, chown, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import t, { type Test } from "tap";
import { readMounts } from "../../lib/fs/mounting/mountinfo.ts";
import { exactly } from "../support/exactly.ts";
import { BIN, run } from "../support/icfs.ts";
import { plain } from "../support/plain.ts";
import { daemonEnds, logOf, startMountHost } from "./mount-namespace.ts";
import { eventually, HUNG } from "./mounts.ts";

t.setTimeout(10 * HUNG);

/** nobody, who must be able to reach this checkout, and another user. */
const NOBODY = 65534;
const ANOTHER = 12345;

const c = await startMountHost(t);
const { id, directory, tree, proxy, keyFile, network: NETWORK, within, fstab, mountpoint } = c;

/** The line in the log of a mount that still waits for its network. */
const AGAIN = /has no answer that counts yet, trying again/g;
const triedAgain = async () => (await readFile(logOf(directory), "utf8")).match(AGAIN)?.length ?? 0;

const silent = { code: 0, stdout: "", stderr: "" };
/** The icfs mounts of the namespace, by findmnt. */
const found = async () =>
  (await within("findmnt", "-rn", "-t", "fuse.icfs", "-o", "SOURCE,TARGET")).stdout
    .split("\n")
    .filter((line) => line !== "");
const isTree = async (path: string) => (await within("diff", "-r", tree, path)).code === 0;

/** umount(8); then no process serves the mount any more. */
async function umount(t: Test, path: string): Promise<void> {
  t.same(await within("umount", path), silent);
  await daemonEnds(path);
}

t.test("mount -a twice, mount DIR, remount, umount DIR", async (t) => {
  const [a, b, later] = [await mountpoint("a"), await mountpoint("b"), await mountpoint("later")];
  const file = await fstab(
    "# boot files",
    `${id} ${a} icfs ro,_netdev,nofail,x-systemd.automount,${NETWORK} 0 0`,
    `${id}@1 ${b} fuse.icfs _netdev,nofail,comment=older,allow-other,source=icfs,trust=query,${NETWORK} 0 0`,
    `${id} ${later} icfs ro,noauto,user,context="system_u:object_r:tftpdir_t:s0:c1,c2",network="${proxy.url},${c.url}",root-key=${keyFile} 0 0`,
  );
  t.same(await within("mount", "-a", "-T", file), silent);
  t.same(await found(), [`${id} ${a}`, `${id}@1 ${b}`]);
  const { stdout } = await within("findmnt", "-n", "-o", "SOURCE,FSTYPE,VFS-OPTIONS", a);
  t.match(stdout, new RegExp(`^${id} +fuse\\.icfs +ro,nosuid,nodev,noexec`));
  t.ok(await isTree(a));
  t.ok(await isTree(b));
  t.match(await within("touch", join(a, "x")), { code: 1, stderr: /Read-only file system/ });
  t.same(
    (await readMounts()).filter(({ mountpoint: at }) => at.startsWith(directory)),
    [],
    "nothing is mounted outside the namespace",
  );

  t.same(await within("mount", "-a", "-T", file), silent, "again");
  t.equal((await found()).length, 2, "nothing is mounted twice");
  t.same(await within("mount", "-T", file, "-o", "remount", a), silent);
  t.same(await within("mount", "-o", "remount,ro", a), silent);
  t.equal((await found()).length, 2, "a remount adds no mount");
  t.match(await within("mount", "-o", "remount,rw", a), { code: 1, stderr: /say ro instead of rw/ });
  t.ok(await isTree(a));

  t.same(await within("mount", "-T", file, later), silent, "mount DIR");
  t.equal((await found()).length, 3);
  t.ok(await isTree(later));
  for (const path of [a, b, later]) await umount(t, path);
  t.same(await found(), []);
  t.same(await within("mount", "-T", file, a), silent, "the directory can be mounted again after umount");
  await umount(t, a);
});

t.test("a user's own mount with the option `user`", async (t) => {
  const home = await mountpoint("home");
  const path = join(home, "mnt");
  await chmod(directory, 0o755);
  await mkdir(path);
  for (const own of [home, path]) await chown(own, NOBODY, NOBODY);
  const options = `ro,noauto,user,no-allow-other,cache-dir=${home}/cache,log-file=${home}/log,${NETWORK}`;
  await fstab(`${id} ${path} icfs ${options} 0 0`);
  const as = (user: number, ...command: string[]) => {
    const identity = ["--reuid", `${user}`, "--regid", `${user}`, "--clear-groups"];
    const [program, args] = plain(`XDG_STATE_HOME=${home}/state`, command);
    return within("setpriv", ...identity, program, ...args);
  };
  t.same(await as(NOBODY, "mount", path), silent);
  t.match(await as(NOBODY, "cat", join(path, "pxelinux.0")), { code: 0, stdout: "loader\n" });
  t.not((await as(ANOTHER, "umount", path)).code, 0, "another user cannot unmount it");
  t.same(await as(NOBODY, "umount", path), silent);
  t.same(await found(), []);
  await daemonEnds(path);
});

t.test("mirrors are used in their order, without the network", async (t) => {
  const path = await mountpoint("mirrored");
  const mirror = join(directory, "a mirror");
  t.match(await c.icfs(["mirror", id, mirror]), { code: 0 });
  const url = pathToFileURL(mirror).href;
  const file = await fstab(
    `${id} ${path} icfs ro,_netdev,mirror="file:/nowhere,${url}",mirror=http://127.0.0.1:9,mirror-only,cache-dir=${join(directory, "empty")},${NETWORK} 0 0`,
  );
  proxy.down = true;
  const refused = proxy.refused;
  t.same(await within("mount", "-T", file, path), silent);
  t.ok(await isTree(path));
  const { stdout } = await within(BIN, "status", path, "--json");
  const [status] = JSON.parse(stdout);
  t.match(status, {
    mirrorOnly: true,
    mirrors: exactly({ url: "file:///nowhere" }, { url }, { url: /:9$/ }),
  });
  t.ok(status.mirrors[1].chunks > 0);
  t.equal(proxy.refused, refused, "no request goes to the network");
  proxy.down = false;
  await umount(t, path);
  const wrong = await fstab(`${id} ${path} icfs ro,mirror=ftp://x/,${NETWORK} 0 0`);
  t.match(await within("mount", "-T", wrong, path), { code: 1, stderr: /--mirror.*Use a URL such as/ });
});

/** Variables that a local user might set. Each file that they make something load writes a file when it is loaded. */
async function hostile(at: string): Promise<string[]> {
  const script = join(at, "evil.cjs");
  await writeFile(script, `require("node:fs").writeFileSync(${JSON.stringify(join(at, "loaded"))}, "")`);
  const library = join(at, "evil.so");
  const source = join(at, "evil.c");
  await writeFile(
    source,
    `#include <fcntl.h>\n__attribute__((constructor)) void f(void) { open("${join(at, "preloaded")}", O_CREAT, 0666); }\n`,
  );
  await run("gcc", ["-shared", "-fPIC", "-o", library, source], { env: process.env });
  return [
    `NODE_OPTIONS=--require=${script}`,
    `NODE_COMPILE_CACHE=${join(at, "compiled")}`,
    `NODE_EXTRA_CA_CERTS=${script}`,
    "NODE_CHANNEL_FD=1",
    "ICFS_BACKGROUND_CHILD=1",
    "ICFS_NETWORK=http://192.0.2.1:1",
    `ICFS_ROOT_KEY=${script}`,
    `ICFS_IDENTITY=${script}`,
    "ICFS_SOURCE=icboot",
    "ICFS_TRUST=nonsense",
    "ICFS_UID=12345",
    "ICFS_FILE_MODE=777",
    "ICFS_ALLOW_OTHER=no",
    "ICFS_OFFLINE=yes",
    "ICFS_METRICS=0.0.0.0:9",
    `ICFS_CACHE_DIR=${join(at, "cache")}`,
    `ICFS_LOG_FILE=${join(at, "log")}`,
    `ICFS_STATS_FILE=${join(at, "stats")}`,
    `OPENSSL_CONF=${script}`,
  ];
}

t.test("a mount loads nothing from the environment of mount(8)'s caller", async (t) => {
  const path = await mountpoint("hostile");
  const at = await mountpoint("of-a-user");
  await chmod(at, 0o777);
  const file = await fstab(`${id} ${path} icfs ro,noauto,${NETWORK} 0 0`);
  t.same(await within("env", ...(await hostile(at)), "mount", "-T", file, path), silent);
  t.ok(await isTree(path));
  t.same(
    (await readdir(at)).sort(),
    ["evil.c", "evil.cjs", "evil.so"],
    "nothing is loaded or written because of the caller's environment",
  );
  const { stdout } = await within("stat", "-c", "%u %a", join(path, "pxelinux.0"));
  t.equal(stdout, "0 444\n", "the environment changes neither the owner nor the mode");
  await umount(t, path);
});

t.test("a user's mount with the option `user` has none of root's rights", async (t) => {
  const path = await mountpoint("of-root");
  const at = await mountpoint("of-a-user-as-well");
  await chmod(at, 0o777);
  const guarded = await mountpoint("guarded");
  // All options that name a file. The files are where only root may write.
  const files = `cache-dir=${guarded}/cache,log-file=${guarded}/log,stats-file=${guarded}/stats,metrics=1`;
  await fstab(`${id} ${path} icfs ro,noauto,user,${files},${NETWORK} 0 0`);
  const identity = ["--reuid", `${NOBODY}`, "--regid", `${NOBODY}`, "--clear-groups"];
  const preload = `LD_PRELOAD=${join(at, "evil.so")}`;
  const environment = [...(await hostile(at)), preload, `XDG_STATE_HOME=${guarded}/state`];
  const said = await within("setpriv", ...identity, "env", ...environment, "mount", path);
  t.not(said.code, 0);
  t.same(await readdir(guarded), []);
  t.same(await found(), []);
  // mount(8) is setuid root, so it loads nothing of the user's.
  t.notOk((await readdir(at)).includes("preloaded"));
});

t.test("mount -t icfs is read-only by default, refuses rw, and returns mount's own exit codes", async (t) => {
  const path = await mountpoint("by-hand");
  const mount = (...args: string[]) => within("mount", ...args);
  t.same(await mount("-t", "icfs", id, path, "-o", NETWORK), silent);
  t.match((await within("findmnt", "-n", "-o", "VFS-OPTIONS", path)).stdout, /^ro,/);
  t.match(await mount("-t", "icfs", id, path, "-o", NETWORK), {
    code: 32,
    stderr: /is already mounted at/,
  });
  await umount(t, path);
  t.match(await mount("-v", "-t", "fuse.icfs", id, path, "-o", NETWORK), {
    code: 0,
    stdout: new RegExp(`^mounted release 1 of ${id} at ${path}: 2 files`),
  });
  await umount(t, path);
  t.same(await mount("-f", "-t", "icfs", id, path, "-o", NETWORK), silent, "-f");
  t.same(
    await mount("-t", "icfs", id, path, "-o", `exec,noexec,${NETWORK}`),
    silent,
    "the last of two opposite options counts",
  );
  t.match(await mount("-o", "remount,exec", path), { code: 1, stderr: /say noexec instead of exec/ });
  await umount(t, path);

  const file = await fstab(`${id} ${path} icfs rw,${NETWORK} 0 0`);
  const refused: [args: string[], code: number, stderr: RegExp][] = [
    [["-t", "icfs", id, path, "-o", `rw,${NETWORK}`], 1, /say ro instead of rw/],
    [["-w", "-t", "icfs", id, path, "-o", NETWORK], 1, /say ro instead of rw/],
    [["-T", file, path], 1, /say ro instead of rw/],
    [["-T", file, "-a"], 32, /say ro instead of rw/],
    [["-t", "icfs", id, path, "-o", `ro,colour=blue,${NETWORK}`], 1, /unknown option "colour"/],
    [
      ["-t", "icfs", id, path, "-o", `ro,network=${proxy.url}`],
      1,
      /the root key of .* is needed: root-key=FILE/,
    ],
    [
      ["-t", "icfs", "rwlgt-iiaaa-aaaaa-aaaaa-cai", path, "-o", `ro,${NETWORK}`],
      32,
      /rwlgt-iiaaa-aaaaa-aaaaa-cai/,
    ],
  ];
  const before = await triedAgain();
  for (const [args, code, stderr] of refused) {
    t.match(await mount(...args), { code, stderr }, args.join(" "));
  }
  for (const word of ["exec", "suid", "dev"]) {
    const stderr = new RegExp(`say no${word} instead of ${word}`);
    t.match(await mount("-t", "icfs", id, path, "-o", `ro,${word},${NETWORK}`), { code: 1, stderr });
    for (const list of [`ro,${word}`, `defaults,_netdev,${word}`, `ro,user,${word}`]) {
      const file = await fstab(`${id} ${path} icfs ${list},${NETWORK} 0 0`);
      t.match(await mount("-T", file, path), { code: 1, stderr }, list);
    }
  }
  t.equal(await triedAgain(), before, "at once");
  t.same(await found(), []);
});

t.test("a mount with a cold cache waits for a network that arrives later", async (t) => {
  const path = await mountpoint("early");
  proxy.down = true;
  t.teardown(() => {
    proxy.down = false;
  });
  const cold = `cache-dir=${join(directory, "cold")},${NETWORK}`;
  const line = (retry: string) => fstab(`${id} ${path} icfs ro,_netdev,nofail,retry=${retry},${cold} 0 0`);
  const waits = (how: string) =>
    `mount.icfs: no answer from the network ${proxy.url} yet (socket hang up): goes on trying for ${how} (retry); the log is ${logOf(directory)}\n`;
  const before = await triedAgain();
  t.match(await within("mount", "-T", await line("0"), path), { code: 32, stderr: /closed|hang up|reset/ });
  t.equal(await triedAgain(), before, "no patience");
  const mounting = within("mount", "-T", await line("1"), "-a");
  await eventually("it has tried again", async () => (await triedAgain()) >= before + 3);
  t.same(await found(), []);
  proxy.down = false;
  t.same(
    await mounting,
    { ...silent, stderr: waits("60 s") },
    "waiting is reported once, however many attempts are made",
  );
  t.ok(await isTree(path));
  await umount(t, path);

  proxy.down = true;
  const patience = await triedAgain();
  const said = await within("mount", "-T", await line("1"), path);
  t.match(said, { code: 0, stderr: /serves what was kept on this host/ });
  t.equal(await triedAgain(), patience, "a cached release is mounted without another attempt");
  t.ok(await isTree(path));
  const colder = `retry=1,cache-dir=${join(directory, "colder")},${NETWORK}`;
  t.match(await within("mount", "-t", "icfs", id, path, "-o", colder), {
    code: 32,
    stderr: /already mounted at/,
  });
  t.equal(
    await triedAgain(),
    patience,
    "a mountpoint that is already in use is refused without another attempt",
  );
  await umount(t, path);
});
