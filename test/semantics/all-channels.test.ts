/** docs/SEMANTICS.md, "All channels": a directory for each channel in one mount. */
import { createHash } from "node:crypto";
import t from "tap";
import { eventually, HUNG, holding, sh } from "../mount/mounts.ts";
import { promoter } from "../support/channels.ts";
import { exactly } from "../support/exactly.ts";
import { faultFor } from "../support/fault-proxy.ts";
import { startMountable } from "../support/mountable.ts";
import { aboveTransports } from "../support/transport.ts";

t.setTimeout(10 * HUNG);

const c = await startMountable(t);
const promote = promoter(c);
const ALL = ["--all-channels", "--refresh", "0.3"];
const FAST = [...ALL, "--quiet", "0"];

const contentOf = (number: number) => `kernel ${number}\n`.repeat(100_000);
const hashOf = (number: number) => createHash("sha256").update(contentOf(number)).digest("hex");
for (const number of [1, 2, 3]) {
  await c.publish({ kernel: contentOf(number), version: `${number}\n`, "same/file": "the same\n" });
}
await promote("stable", 1);
await promote("canary", 2);

type Mounted = Awaited<ReturnType<typeof c.mount>>;
const versions = async ({ mountpoint, at }: Mounted) => {
  const names = (await sh("ls", mountpoint)).stdout.split("\n").filter(Boolean);
  const read = names.map(async (name) => [name, (await sh("cat", at(`${name}/version`))).stdout.trim()]);
  return Object.fromEntries(await Promise.all(read));
};
const shown = async (mount: Mounted, wanted: Record<string, string>) =>
  eventually(JSON.stringify(wanted), async () => {
    const found = await versions(mount);
    return JSON.stringify(found) === JSON.stringify(wanted);
  });
const releases = async ({ status }: Mounted) => {
  const { channels = [] } = await status();
  return Object.fromEntries(channels.map(({ channel, release }) => [channel, release]));
};

t.test("40. each channel has a directory that follows it; channels appear and disappear", async (t) => {
  const mount = await c.mount(...FAST);
  const { at, mountpoint, said, status, log, umount } = mount;
  t.match(said.stdout, /mounted canary \(release 2\), stable \(release 1\) of /);
  t.same(await versions(mount), { canary: "2", stable: "1" });
  t.match(await status(), {
    canister: c.id,
    release: undefined,
    files: 6,
    channels: exactly(
      { channel: "canary", serial: 1, release: 2, files: 3, verified: "certified" },
      { channel: "stable", serial: 1, release: 1, files: 3 },
    ),
  });
  const { stdout: inodes } = await sh("find", mountpoint, "-printf", "%i\n");
  t.equal(
    new Set(inodes.trim().split("\n")).size,
    1 + 2 * 5,
    "every file and directory has an inode number of its own",
  );
  const origin = async (name: string) =>
    (await sh("getfattr", "--only-values", "-n", "user.icfs.origin", at(name))).stdout;
  t.match(await origin("canary/version"), new RegExp(`^${c.id} 2 [0-9a-f]{64} [0-9a-f]{64} version$`));
  t.match(await origin("stable/same/file"), new RegExp(`^${c.id} 1 .* same/file$`));
  t.equal((await sh("stat", "-c", "%F %h", mountpoint)).stdout, "directory 4\n");
  t.equal((await sh("sh", "-c", `cd ${at("canary/same")} && ls ../..`)).stdout, "canary\nstable\n");

  // Nothing else opens this path: over fuse-native an open path keeps its content for all readers.
  const old = await holding(t, at("stable/kernel"));
  const unchanged = (await sh("stat", "-c", "%i", at("stable/same/file"))).stdout;
  await promote("stable", 2);
  await shown(mount, { canary: "2", stable: "2" });
  await promote("stable", 3);
  await shown(mount, { canary: "2", stable: "3" });
  await promote("stable", 1);
  await shown(mount, { canary: "2", stable: "1" });
  await promote("stable", 3);
  await shown(mount, { canary: "2", stable: "3" });
  t.equal((await sh("stat", "-c", "%i", at("stable/same/file"))).stdout, unchanged);
  t.equal(await old.rest(), hashOf(1), "an open file keeps its old content to the end");
  await old.close();

  await promote("beta", 3);
  await shown(mount, { beta: "3", canary: "2", stable: "3" });
  t.match(await status(), { channels: exactly({ channel: "beta", serial: 1, release: 3 }, {}, {}) });
  const held = await holding(t, at("canary/kernel"));
  await promote("canary", undefined);
  await shown(mount, { beta: "3", stable: "3" });
  t.equal((await sh("cat", at("canary/version"))).stderr.includes("No such file"), true);
  t.equal(
    await held.rest(),
    hashOf(2),
    "an open file can be read to the end although its channel was deleted",
  );
  await held.close();
  await promote("canary", 1);
  await shown(mount, { beta: "3", canary: "1", stable: "3" });
  t.match(await releases(mount), { beta: 3, canary: 1, stable: 3 });

  await eventually("all is here", async () => (await status()).hydrated);
  t.notMatch(await log(), / (warn|error) /, "quietly");
  await umount();
});

aboveTransports(
  t,
  "41. an old answer is refused for all; without the network there is what was kept",
  async (t) => {
    const mount = await c.mount(...FAST, "--ready", "hydrated");
    const before = await versions(mount);
    t.same(before, { beta: "3", canary: "1", stable: "3" });
    let old: Buffer | undefined;
    let isReplayed = false;
    c.proxy.fault = faultFor("channels", () => (answer) => {
      old ??= answer;
      return isReplayed ? old : answer;
    });
    await eventually("it was asked", () => old !== undefined);
    await promote("canary", 2);
    await shown(mount, { ...before, canary: "2" });
    await eventually("all is here", async () => (await mount.status()).hydrated);
    isReplayed = true;
    await eventually("the replay is refused", async () => (await mount.status()).refused === true);
    const { channels = [] } = await mount.status();
    for (const { problem, refused } of channels) {
      t.match({ problem, refused }, { problem: /record \d of channel canary is older than/, refused: true });
    }
    await mount.umount();

    c.proxy.down = true;
    await promote("beta", undefined);
    await promote("gamma", 1);
    const cut = await c.mount(...FAST, "--read-timeout", "2");
    t.match(
      cut.said.stderr,
      /beta: serves what was kept on this host, certified .*; canary: serves .*; stable: /,
    );
    await shown(cut, { beta: "3", canary: "2", stable: "3" });
    c.proxy.fault = () => "none";
    c.proxy.down = false;
    await shown(cut, { canary: "2", gamma: "1", stable: "3" });
    await eventually("all is here", async () => (await cut.status()).hydrated);
    await cut.umount();

    const offline = await c.mount("--all-channels", "--offline");
    t.same(await versions(offline), { canary: "2", gamma: "1", stable: "3" });
    await offline.umount();
    const stable = await c.mountNamed("stable", "--offline");
    t.match(
      await stable.status(),
      { channel: "stable", release: 3 },
      "the channel's kept release also serves a mount of that channel alone",
    );
    await stable.umount();
  },
);
