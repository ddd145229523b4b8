/** `icfs mount --all-channels`: also by mount(8), with mounts inside it, its status, metrics and verify, and canisters of other kinds. */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { metricsOf } from "../../lib/live/report/metrics.ts";
import { promoter } from "../support/channels.ts";
import { startMountable, startMountableIcboot } from "../support/mountable.ts";
import { mountNamespace, writeFstab } from "./mount-namespace.ts";
import { eventually, HUNG, sh } from "./mounts.ts";

t.setTimeout(30 * HUNG);

const c = await startMountable(t);
const promote = promoter(c);
const ALL = ["--all-channels", "--refresh", "0.3", "--quiet", "0"];

const large = randomBytes(3_000_000);
const shows = (mount: Awaited<ReturnType<typeof c.mount>>, path: string, text: string) =>
  eventually(`${path} is ${text}`, async () => (await sh("cat", mount.at(path))).stdout === text);
const names = async (mountpoint: string) => (await sh("ls", mountpoint)).stdout;

t.test("before the first channel exists, the mount is empty", async (t) => {
  const without = await c.tryMount("--all-channels");
  t.match(without, { code: 1, stderr: /has no release yet/ });
  for (const number of [1, 2]) await c.publish({ version: `${number}\n`, "dir/large": large });
  const mount = await c.mount(...ALL);
  t.match(mount.said, { stdout: /mounted no channel of / });
  t.match(mount.said.stderr, /has no channel yet, so it shows nothing: `icfs promote/);
  t.equal(await names(mount.mountpoint), "");
  const verified = await c.icfs(["verify", mount.mountpoint]);
  t.match(verified, { code: 1, stderr: /which has none: there is nothing to verify/ });
  await promote("stable", 1);
  await shows(mount, "stable/version", "1\n");
  await mount.umount();
});

t.test("status, metrics and verify report each channel", async (t) => {
  await promote("canary", 2);
  const mount = await c.mount(...ALL, "--ready", "hydrated");
  const { mountpoint } = mount;
  const status = await mount.status();
  t.match(status, { hydrated: true, cache: { chunksVerified: Number } });
  t.ok(status.cache.bytesVerified < 2 * large.length, "chunks that channels share are fetched once");
  const { stdout } = await c.icfs(["status", mountpoint]);
  t.match(stdout, new RegExp(`^ {2}channels +2 of ${c.id}$`, "m"));
  for (const [channel, release] of [
    ["canary", 2],
    ["stable", 1],
  ]) {
    const line = `^ {2}channel +${channel}: release ${release} \\([0-9a-f]{64}\\), record 1; 2 files, 3.0 MB, all here; certified`;
    t.match(stdout, new RegExp(line, "m"));
  }
  const metrics = await metricsOf(status);
  t.match(metrics, /^icfs_release\{channel="canary",canister="[^"]+",mountpoint="[^"]+"\} 2$/m);
  t.match(metrics, /^icfs_channel_serial\{channel="stable",.*\} 1$/m);
  t.match(metrics, /^icfs_open_files\{canister=/m);

  t.match(await c.icfs(["verify", mountpoint]), {
    code: 1,
    stderr: `shows all channels of ${c.id}: verify each, \`icfs verify ${mountpoint}/canary\`, \`icfs verify ${mountpoint}/stable\``,
  });
  for (const [channel, release] of [
    ["canary", 2],
    ["stable", 1],
  ]) {
    const verified = await c.icfs(["verify", mount.at(`${channel}`)]);
    t.match(verified, {
      code: 0,
      stdout: new RegExp(`^release ${release} of .*; .*/${channel} is the same$`, "m"),
    });
  }
  const other = await c.icfs(["verify", mount.at("stable/dir")]);
  t.match(other, { code: 1, stderr: /is neither a canister id nor an icfs mount/ });
  await mount.umount();
});

t.test("chunks come from mirrors", async (t) => {
  const mirror = join(c.directory, "mirror");
  const made = await c.icfs(["mirror", `${c.id}@stable`, mirror, "--network", c.url]);
  t.equal(made.code, 0, made.stderr);
  const empty = join(c.directory, "empty");
  const options = ["--mirror", `file:${mirror}`, "--cache-dir", empty, "--ready", "hydrated"];
  const mount = await c.mount("--all-channels", ...options);
  t.equal(await names(mount.mountpoint), "canary\nstable\n");
  const { mirrors } = await mount.status();
  t.ok(mirrors[0]!.bytes > large.length, "the mirror supplies the chunks of stable");
  t.equal(mirrors[0]!.wrong, 0);
  await mount.umount();
});

t.test("a mount inside a deleted channel's directory keeps the directory", async (t) => {
  const mount = await c.mount(...ALL);
  t.equal((await sh("mount", "-t", "tmpfs", "none", mount.at("canary/dir"))).code, 0);
  t.equal((await sh("touch", mount.at("canary/dir/mine"))).code, 0);
  await promote("canary", 1);
  await shows(mount, "canary/version", "1\n");
  await promote("canary", undefined);
  await eventually("the log says so", async () => /its directory stays until/.test(await mount.log()));
  t.equal(await names(mount.mountpoint), "canary\nstable\n");
  t.equal((await sh("ls", mount.at("canary/dir"))).stdout, "mine\n");
  t.equal((await sh("umount", mount.at("canary/dir"))).code, 0);
  await eventually("it is gone", async () => (await names(mount.mountpoint)) === "stable\n");
  await mount.umount();
});

t.test("mount(8) mounts all channels from fstab", async (t) => {
  const within = await mountNamespace(t, c.directory);
  const path = join(c.directory, "by-fstab");
  await mkdir(path);
  const key = join(c.directory, "root.key");
  await writeFile(key, c.rootKey);
  const options = `ro,_netdev,nofail,network=${c.proxy.url},root-key=${key}`;
  await writeFstab(c.directory, `${c.id} ${path} icfs ${options},all-channels 0 0`);
  t.match(await within("mount", path), { code: 0, stdout: "", stderr: "" });
  t.equal((await within("ls", path)).stdout, "stable\n");
  t.match(
    await within("mount", "-a"),
    { code: 0 },
    "`mount -a` succeeds when the file system is already mounted",
  );
  t.match(await within("umount", path), { code: 0 });
  const named = await within("mount", "-t", "icfs", "-o", `${options},all-channels`, `${c.id}@stable`, path);
  t.match(named, {
    code: 1,
    stderr: /--all-channels shows every channel, and \S+@stable is one: leave out @stable/,
  });
});

t.test("a canister that is not an icfs canister", async (t) => {
  const icboot = await startMountableIcboot(t);
  await icboot.fill({ file: "file\n" });
  t.match(await icboot.tryMount("--all-channels"), {
    code: 1,
    stderr: /has no channels, as it is not an icfs canister: leave out --all-channels/,
  });
});
