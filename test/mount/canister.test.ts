/** bin/icfs mount over a real canister: what was published is what is read, whatever happens on the way. */
import { randomBytes, randomInt } from "node:crypto";
import { chmod, mkdir, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { isRunning } from "../../lib/fs/unmount.ts";
import { startCanister, type TestCanister } from "../support/canister-network.ts";
import { type FaultProxy, faultFor, startFaultProxy } from "../support/fault-proxy.ts";
import type { Test } from "../support/icfs.ts";
import { eventually, mountpointFor, sh } from "./mounts.ts";

const MiB = 1024 * 1024;

/** A tree with everything in it that has a boundary somewhere. */
async function writeTree(root: string): Promise<void> {
  await mkdir(join(root, "deep/er/and/deeper"), { recursive: true });
  await mkdir(join(root, "empty directory"));
  await mkdir(join(root, "many"));
  for (const size of [0, 1, 511, 512, 513, MiB - 1, MiB, MiB + 1, 40_000_000]) {
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

interface MountedCanister extends TestCanister {
  readonly proxy: FaultProxy;
  /** What was published. */
  readonly tree: string;
}

/** A published tree behind a fault proxy. */
async function publishTree(t: Test, write: (root: string) => Promise<void>): Promise<MountedCanister> {
  const canister = await startCanister(t);
  const tree = join(canister.directory, "tree");
  await mkdir(tree);
  await write(tree);
  const { code, stderr } = await canister.icfs(["publish", tree, canister.canister.toText()]);
  if (code !== 0) throw new Error(stderr);
  return { ...canister, tree, proxy: await startFaultProxy(t as never, canister.url) };
}

/** Mounts it, through the proxy; nothing is fetched before it is asked for. */
async function mount(t: Test, canister: MountedCanister, ...options: string[]): Promise<string> {
  const mountpoint = await mountpointFor(t as never);
  const args = ["mount", canister.canister.toText(), mountpoint, "--network", canister.proxy.url];
  args.push("--prefetch", "none", ...options);
  const { code, stderr } = await canister.icfs(args);
  if (code !== 0) throw new Error(stderr);
  return mountpoint;
}

t.test("a published tree comes back byte for byte", async (t) => {
  const canister = await publishTree(t, writeTree);
  const { tree, icfs, canister: id } = canister;
  const mountpoint = await mountpointFor(t);
  const mounted = await icfs(["mount", id.toText(), mountpoint, "--json"]);
  t.equal(mounted.code, 0, mounted.stderr);
  t.equal(mounted.stdout.trim().split("\n").length, 1, "--json prints one line");
  const { pid, ...description } = JSON.parse(mounted.stdout);
  t.match(description, {
    canister: id.toText(),
    mountpoint,
    release: 1,
    header: /^[0-9a-f]{64}$/,
    files: 313,
  });
  t.ok(isRunning(pid), "the daemon runs");

  const difference = await sh("diff", "-r", "--no-dereference", tree, mountpoint);
  t.equal(difference.code, 0, "diff -r finds nothing", { difference });
  const listing = ["-printf", "%P %y %s %l %T@\\n"];
  const [ours, theirs] = await Promise.all(
    [mountpoint, tree].map((root) => sh("find", root, "-mindepth", "1", "!", "-type", "d", ...listing)),
  );
  const sorted = (text: string) =>
    text
      .split("\n")
      // The mount has milliseconds.
      .map((line) => line.replace(/(\.\d{3})\d*$/, "$1"))
      .sort();
  t.strictSame(
    sorted(ours!.stdout),
    sorted(theirs!.stdout),
    "names, kinds, sizes, targets and times are the same",
  );
  t.match(
    (await sh("grep", mountpoint, "/proc/mounts")).stdout,
    new RegExp(`^${id.toText()} .* fuse.icfs ro,`),
  );
  t.match((await sh("touch", join(mountpoint, "x"))).stderr, /Read-only file system/);
  t.match((await sh("cat", join(mountpoint, "absent"))).stderr, /No such file or directory/);
  const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "sha256sum"];
  const hash = async (...command: string[]) =>
    (await sh(command[0]!, ...command.slice(1))).stdout.slice(0, 64);
  const asNobody = await hash("setpriv", ...nobody, join(mountpoint, "size-513"));
  t.equal(asNobody, await hash("sha256sum", join(tree, "size-513")), "nobody can read it");
  const modes = ["tool", "link", "size-1", "deep"].map((name) => join(mountpoint, name));
  const { stdout } = await sh("stat", "-c", "%A", ...modes);
  t.equal(stdout, "-r-xr-xr-x\nlrwxrwxrwx\n-r--r--r--\ndr-xr-xr-x\n", "executables are, others are not");

  const { code } = await sh("umount", mountpoint);
  t.equal(code, 0, "umount");
  await eventually("the daemon ends", () => !isRunning(pid));
});

t.test("icfs umount ends the daemon, and a mount can be made again", async (t) => {
  const canister = await publishTree(t, (root) => writeFile(join(root, "a"), "hello\n"));
  const { icfs, canister: id } = canister;
  const mountpoint = await mountpointFor(t);
  for (let i = 0; i < 2; i++) {
    const { pid } = JSON.parse((await icfs(["mount", id.toText(), mountpoint, "--json"])).stdout);
    t.equal((await sh("cat", join(mountpoint, "a"))).stdout, "hello\n");
    const unmounted = await icfs(["umount", mountpoint]);
    t.equal(unmounted.code, 0, unmounted.stderr);
    t.notOk(isRunning(pid), "the daemon has ended when icfs umount returns");
  }
  const again = await icfs(["umount", mountpoint]);
  t.equal(again.code, 1);
  t.match(again.stderr, /is not an icfs mount/);
});

t.test("a mount that cannot be made says why, and leaves nothing behind", async (t) => {
  const canister = await startCanister(t);
  const { icfs, canister: id, url, directory } = canister;
  const mountpoint = await mountpointFor(t);
  const refused = async (args: string[], message: RegExp) => {
    const { code, stderr, stdout } = await icfs(["mount", ...args]);
    t.equal(code, 1, args.join(" "));
    t.match(stderr, message);
    t.equal(stdout, "");
    t.equal((await sh("grep", mountpoint, "/proc/mounts")).stdout, "", "nothing is mounted");
  };
  await refused([id.toText(), mountpoint], /has no release yet: `icfs publish DIR/);
  await refused(["lxzze-o7777-77777-aaaaa-caj", mountpoint], /is no canister id/);
  await refused(["rwlgt-iiaaa-aaaaa-aaaaa-cai", mountpoint], /rwlgt-iiaaa-aaaaa-aaaaa-cai/);
  await refused(
    [id.toText(), mountpoint, "--network", "http://127.0.0.1:1"],
    /no network answers at http:\/\/127.0.0.1:1/,
  );
  await refused([id.toText(), mountpoint, "--network", "http://10.1.2.3:80"], /give it with --root-key/);
  await writeFile(join(directory, "a"), "a");
  await mkdir(join(directory, "tree"));
  await icfs(["publish", join(directory, "tree"), id.toText()]);
  await refused([id.toText(), join(directory, "a")], /not a directory/);
  await refused([id.toText(), join(directory, "absent")], /absent/);
  const key = Buffer.from(canister.rootKey);
  key[key.length - 1]! ^= 1;
  await refused(
    [id.toText(), mountpoint, "--network", url, "--root-key", key.toString("hex")],
    /certificate is refused/,
  );
});

t.test("bytes that are wrong on the way are fetched again", async (t) => {
  const canister = await publishTree(t, (root) => writeFile(join(root, "file"), randomBytes(6 * MiB)));
  const { proxy, tree } = canister;
  const mountpoint = await mount(t, canister);
  let queries = 0;
  // Two of three answers are bad, each time in another way.
  const faults = [
    "flip",
    "drop",
    "none",
    "truncate",
    "flip",
    "none",
    { status: 503 },
    { status: 429 },
    "none",
  ] as const;
  proxy.fault = faultFor("chunk", () => faults[queries++ % faults.length]!);
  const compared = await sh("cmp", join(tree, "file"), join(mountpoint, "file"));
  t.equal(compared.code, 0, "the reader gets the right bytes", { compared });
  t.ok(queries > 6, `${queries} queries for 6 chunks`);
});
