/**
 * Users other than root: what they can mount, where their files are, and the messages when something is missing. In a
 * mount namespace of the test's own, where /dev/fuse and /etc/fuse.conf are as the test wants them.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { bytesOf, writeTree } from "../publish/trees.ts";
import { startCanister } from "../support/canister-network.ts";
import { exactly } from "../support/exactly.ts";
import { BIN, run } from "../support/icfs.ts";

/** nobody, who must be able to reach this checkout, and another user. */
const NOBODY = 65534;
const ANOTHER = 12345;

/** A mount namespace with a /dev/fuse and an /etc/fuse.conf of its own. It ends with the test, with all mounts in it. */
async function startHost(t: Test, directory: string) {
  const holder = spawn(
    "unshare",
    ["--mount", "--propagation", "private", "sh", "-c", "echo; exec sleep 600"],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  t.teardown(async () => {
    const ended = once(holder, "exit");
    holder.kill("SIGKILL");
    await ended;
  });
  await once(holder.stdout, "data");
  const home = join(directory, "home");
  const [device, configuration] = [join(directory, "fuse"), join(directory, "fuse.conf")];
  const env = { PATH: process.env.PATH, HOME: home, LC_ALL: "C.UTF-8" };
  const inside = (program: string, ...args: string[]) =>
    run("nsenter", [`--mount=/proc/${holder.pid}/ns/mnt`, "--", program, ...args], { env });
  await chmod(directory, 0o755);
  await mkdir(home);
  await chown(home, NOBODY, NOBODY);
  await writeFile(configuration, "# nothing\n");
  await run("mknod", [device, "c", "10", "229"], { env });
  await chmod(device, 0o600);
  t.match(await inside("mount", "--bind", device, "/dev/fuse"), { code: 0 });
  t.match(await inside("mount", "--bind", configuration, "/etc/fuse.conf"), { code: 0 });
  return {
    home,
    device,
    configuration,
    root: inside,
    as: (user: number, program: string, ...args: string[]) =>
      inside("setpriv", "--reuid", `${user}`, "--regid", `${user}`, "--clear-groups", "--", program, ...args),
  };
}

t.test("a user who is not root", async (t) => {
  const canister = await startCanister(t);
  const { directory, url, icfs } = canister;
  const id = canister.canister.toText();
  const tree = join(directory, "tree");
  await mkdir(tree);
  await writeTree(tree, { "d/file": "hello\n", large: bytesOf(1, 3_000_000) });
  t.match(await icfs(["publish", tree, id]), { code: 0 });
  const { as, root, home, device, configuration } = await startHost(t, directory);
  const mountpoint = join(home, "mnt");
  const mount = (...options: string[]) =>
    as(NOBODY, BIN, "mount", id, mountpoint, "--network", url, ...options);
  const umount = async () => t.match(await as(NOBODY, BIN, "umount", mountpoint), { code: 0 });
  t.match(await as(NOBODY, "mkdir", mountpoint), { code: 0 });

  t.match(await mount(), {
    code: 1,
    stderr: /\/dev\/fuse is not for this user to open: mount as root, or have root say chmod 666 \/dev\/fuse/,
  });
  const doctor = () => as(NOBODY, BIN, "doctor", id, mountpoint, "--network", url);
  t.match(await doctor(), {
    code: 1,
    stdout:
      /^fail {2}fuse: \/dev\/fuse is not for this user to open\n {6}mount as root, or have root say chmod 666 \/dev\/fuse/m,
  });
  await chmod(device, 0o666);
  // The exit code is not checked: tap writes a file for each process that ends, and nobody may not write there.
  const { stdout } = await doctor();
  t.match(stdout, /^ok {4}libfuse: .* can be loaded\nwarn {2}fusermount: .* need a line user_allow_other/m);
  t.same(stdout.match(/^fail.*/gm), null);

  t.match(await mount(), { code: 0, stdout: /^mounted release 1 of / });
  t.match(await as(NOBODY, "diff", "-r", tree, mountpoint), { code: 0, stdout: "" });
  t.match(
    await as(ANOTHER, "ls", mountpoint),
    { stderr: /Permission denied/ },
    "another user cannot read the mount",
  );
  t.match(await as(NOBODY, "stat", "-c", "%u %g %a", mountpoint), { stdout: `${NOBODY} ${NOBODY} 555\n` });
  const status = await as(NOBODY, BIN, "status", mountpoint, "--json");
  t.match(JSON.parse(status.stdout), exactly({ release: 1, disk: { directory: join(home, ".cache/icfs") } }));
  await umount();
  const { uid, mode } = await stat(join(home, ".cache/icfs/chunks"));
  t.same([uid, mode & 0o777], [NOBODY, 0o700], "the cache belongs to the user and is private");
  t.equal((await stat(join(home, ".local/state/icfs/trust"))).uid, NOBODY);
  t.equal((await stat(join(home, ".local/state/icfs/icfs.log"))).uid, NOBODY);

  const refused = /need a line user_allow_other in \/etc\/fuse.conf to mount with --allow-other/;
  t.match(await mount("--allow-other"), { code: 1, stderr: refused });
  await writeFile(configuration, "user_allow_other\n");
  t.match(await mount("--allow-other"), { code: 0 });
  t.match(await as(ANOTHER, "cat", join(mountpoint, "d/file")), { code: 0, stdout: "hello\n" });
  await umount();

  t.match(await mount("--transport", "kernel"), {
    code: 1,
    stderr: /is for root on Linux: use --transport fuse-native/,
  });
  const theirs = await as(NOBODY, BIN, "mount", id, "/mnt", "--network", url);
  t.match(theirs, {
    code: 1,
    stderr: /\/mnt cannot be used as a mountpoint by this user: it must be writable/,
  });
  t.match(await root("grep", mountpoint, "/proc/mounts"), { stdout: "" }, "no mount is left behind");
});
