/** docs/SEMANTICS.md, "Without the network": what a mount serves when the network, or the disk, is unusable. */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { type LocalNetwork, startLocalNetwork } from "../../localnet/index.ts";
import { eventually, HUNG, holding, sh } from "../mount/mounts.ts";
import { type Fault, faultFor } from "../support/fault-proxy.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { ICFS_WASM } from "../support/icfs-canister.ts";
import { reinstall } from "../support/management.ts";
import { startMountable } from "../support/mountable.ts";
import { aboveTransports } from "../support/transport.ts";

t.setTimeout(10 * HUNG);

const MiB = 1024 * 1024;
const HOUR = 3_600_000;
/** Options of a mount that looks for new releases all the time. */
const FOLLOWING = ["--refresh", "0.3", "--quiet", "0", "--read-timeout", "2"];

const state = await temporaryDirectory(t);
const c = await startMountable(t, { state });
const cache = join(c.env.XDG_CACHE_HOME!, "icfs");
const large = randomBytes(5 * MiB);
/** Later replaces c's own network. */
let network: LocalNetwork | undefined;
t.teardown(() => network?.close());
let last = await c.publish({ file: "file\n", large });

aboveTransports(t, "20. a canister that was mounted once is mounted and served offline", async (t) => {
  const warm = await c.mount("--ready", "hydrated");
  await warm.umount();
  c.proxy.down = true;
  const cut = await c.mount("--read-timeout", "2");
  t.match(cut.said.stderr, /serves what was kept on this host, certified .* ago: /);
  t.ok(await c.same(cut.mountpoint));
  t.match(await cut.status(), { warning: /kept on this host/, cache: { misses: 0 } });
  c.proxy.down = false;
  process.kill((await cut.status()).pid, "SIGHUP");
  await eventually("the warning is over", async () => (await cut.status()).warning === undefined);
  await cut.umount();

  const before = c.proxy.queries;
  const offline = await c.mount("--offline");
  t.ok(await c.same(offline.mountpoint));
  t.equal(c.proxy.queries, before, "--offline makes no queries");
  await offline.umount();
  const nothing = await c.tryMount("--offline", "--cache-dir", join(c.directory, "empty"));
  const message = /nothing of .* is kept on this host: run it once without --offline/;
  t.match(nothing, { code: 1, stderr: message });
});

t.test("21. once the certificate is older than --max-stale, mounting and open() fail", async (t) => {
  const { at, mountpoint, log, umount } = await c.mount(
    ...FOLLOWING,
    "--ready",
    "hydrated",
    "--max-stale",
    "10",
  );
  const holder = await holding(t, at("large"));
  c.proxy.down = true;
  await eventually("it is too old", async () => (await sh("cat", at("file"))).code !== 0);
  t.match((await sh("cat", at("file"))).stderr, /Input\/output error/);
  t.equal((await sh("stat", "-c", "%s", at("file"))).stdout, "5\n", "a file's size can still be read");
  t.match((await sh("cat", at("absent"))).stderr, /No such file/);
  t.equal(await holder.rest(), sha256(large), "an open file can be read to the end");
  await holder.close();
  const refused = await c.tryMount("--read-timeout", "2", "--max-stale", "0");
  t.match(refused, { code: 1, stderr: /was certified .* ago, which --max-stale does not allow/ });
  c.proxy.down = false;
  await eventually("it is proved again", () => c.same(mountpoint));
  t.match(
    await log(),
    /no file can be opened until the network says what is newest(.|\n)*can be opened again/,
  );
  await umount();
});

aboveTransports(t, "22. what is damaged on disk is fetched again, never served", async (t) => {
  const pathOf = (hash: string) => join(cache, "chunks", hash.slice(0, 2), hash);
  const flip = async (path: string) => {
    const bytes = await readFile(path);
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(path, bytes);
  };
  await flip(pathOf(sha256(large.subarray(MiB, 2 * MiB))));
  const before = c.proxy.queries;
  const offline = await c.mount("--offline", "--ready", "hydrated");
  t.match((await sh("cmp", offline.at("large"), join(c.tree, "large"))).stderr, /Input\/output error/);
  t.equal((await sh("cat", offline.at("file"))).stdout, "file\n");
  t.match(await offline.log(), /release 1 cannot be fetched whole: it is not kept on this host/);
  t.equal(c.proxy.queries, before, "--offline makes no queries");
  await offline.umount();

  const files = (await readdir(join(cache, "chunks"), { recursive: true })).filter((name) =>
    name.includes("/"),
  );
  t.ok(files.length >= 5, `${files.length} files, including a manifest`);
  for (const [i, name] of files.entries()) {
    const path = join(cache, "chunks", name);
    if (i % 2 === 0) await flip(path);
    else await writeFile(path, "");
  }
  const again = await c.mount();
  t.ok(await c.same(again.mountpoint));
  t.ok(
    (await again.status()).disk!.corrupt >= files.length - 1,
    "the damaged chunks are counted in the status",
  );
  await again.umount();
  t.match(await c.icfs(["cache", "verify"]), { code: 0, stdout: /^all \d+ chunks/ });
});

aboveTransports(t, "23. a disk that is full, or read-only, is done without", async (t) => {
  const disk = join(c.directory, "disk");
  await mkdir(disk);
  const options = ["-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", disk];
  t.equal((await sh("mount", ...options)).code, 0);
  t.teardown(async () => void (await sh("umount", "-l", disk)));
  const full = await c.mount("--cache-dir", disk, "--ready", "hydrated");
  t.match(await full.status(), { hydrated: false });
  // The status shows the problem only until a smaller chunk finds room.
  t.match(await full.log(), /ENOSPC/);
  t.match(await full.log(), /not all of release 1 could be kept in the cache/);
  t.match(
    full.said.stderr,
    /not all of it could be kept on this host/,
    "the command warns that not everything could be kept",
  );
  t.ok(await c.same(full.mountpoint), "a full one");
  t.match(await full.log(), /disk cache: .* cannot be written to: ENOSPC.*; going on without it/);
  await full.umount();
  t.equal((await sh("mount", "-o", "remount,ro", disk)).code, 0);
  const readOnly = await c.mount("--cache-dir", disk, "--ready", "hydrated");
  t.equal((await readOnly.status()).hydrated, false);
  t.ok(await c.same(readOnly.mountpoint), "a read-only one");
  t.match(await readOnly.log(), /disk cache: .* cannot be written to: .*; going on without it/);
  await readOnly.umount();
});

aboveTransports(
  t,
  "24. when a clock is wrong by an hour, what is new is refused with an error that says so",
  async (t) => {
    const mounted = await c.mount(...FOLLOWING, "--ready", "hydrated");
    const before = last;
    c.proxy.fault = faultFor("release", "drop");
    last = await c.publish({ file: "newer\n" });
    const port = Number(new URL(c.url).port);
    await c.close();
    for (const [timeOffset, message] of [
      [-HOUR, /more than 5 minutes in the past.*this host's clock says/],
      [HOUR, /more than 5 minutes in the future.*this host's clock says/],
    ] as const) {
      const wrong = await startLocalNetwork({ port, state, timeOffset });
      try {
        c.proxy.fault = () => "none";
        await eventually("it is refused", async () => message.test((await mounted.status()).problem ?? ""));
        t.match(await mounted.log(), message);
        t.equal((await mounted.status()).release, before);
        t.equal(
          (await sh("cat", mounted.at("file"))).stdout,
          "file\n",
          "the verified release is still served",
        );
        const another = await c.mount("--read-timeout", "2");
        t.match(another.said.stderr, message);
        t.equal(
          (await sh("cat", another.at("file"))).stdout,
          "file\n",
          "the verified release can be mounted again",
        );
        await another.umount();
        t.match(await c.tryMount("--max-cache-size", "0"), { code: 1, stderr: message });
      } finally {
        c.proxy.down = true;
        await wrong.close();
        c.proxy.down = false;
      }
    }
    network = await startLocalNetwork({ port, state });
    await eventually("it is live", async () => (await mounted.status()).release === last);
    t.equal((await sh("cat", mounted.at("file"))).stdout, "newer\n");
    await mounted.umount();
  },
);

aboveTransports(t, "25. an old release that is replayed, or a fork, is refused and logged", async (t) => {
  await t.test(
    "without the network, a kept release is not mounted if a mount has kept a newer one",
    async (t) => {
      const [before, after] = ["before", "after"].map((name) => join(c.directory, name)) as [string, string];
      const serving = async (cacheDir: string, ...options: string[]) => {
        const mount = await c.mount("--ready", "hydrated", "--cache-dir", cacheDir, ...options);
        t.match(await mount.status(), { hydrated: true });
        const { release } = await mount.status();
        await mount.umount();
        return { release, stderr: mount.said.stderr };
      };
      t.match(await serving(before), { release: last, stderr: "" });
      last = await c.publish({ file: "since\n" });
      t.match(await c.icfs(["ls", c.id, "--network", c.proxy.url]), { code: 0 });
      t.match(await serving(before, "--offline"), {
        release: last - 1,
        stderr: new RegExp(
          `It is release ${last - 1}: this host has accepted release ${last} since, and not kept it`,
        ),
      });
      t.match(await serving(after), { release: last, stderr: "" });
      const message = new RegExp(
        `release ${last - 1} was kept, and this host has served release ${last} since.*--cache-dir.*${c.id}@${last - 1}`,
      );
      t.match(await c.tryMount("--offline", "--cache-dir", before), { code: 1, stderr: message });
      const mountpoint = join(c.directory, "on-purpose");
      await mkdir(mountpoint);
      const onPurpose = ["mount", `${c.id}@${last - 1}`, mountpoint, "--network", c.proxy.url, "--offline"];
      const log = ["--log-file", join(c.directory, "on-purpose.log")];
      t.match(await c.icfs([...onPurpose, ...log, "--cache-dir", before]), { code: 0 });
      t.equal((await sh("cat", join(mountpoint, "file"))).stdout, "newer\n");
      t.match(await c.icfs(["umount", mountpoint]), { code: 0 });
      t.match(await serving(after, "--offline"), { release: last });
    },
  );

  const { at, status, log, umount } = await c.mount(...FOLLOWING, "--ready", "hydrated");
  let old: Buffer | undefined;
  const replaying: Fault = (answer) => {
    old ??= Buffer.from(answer);
    return old;
  };
  c.proxy.fault = faultFor("release", () => replaying);
  await eventually("it is recorded", () => old !== undefined);
  c.proxy.fault = () => "none";
  last = await c.publish({ file: "accepted\n" });
  await eventually("it is live", async () => (await status()).release === last);
  const refused = async (what: string, message: RegExp) => {
    await eventually(`it is refused: ${what}`, async () => message.test((await status()).problem ?? ""));
    t.match(await log(), message);
    t.equal((await status()).release, last, what);
    t.equal((await sh("cat", at("file"))).stdout, "accepted\n", what);
  };
  c.proxy.fault = faultFor("release", () => replaying);
  await refused("a replay", new RegExp(`release ${last - 1} is older than release ${last}`));
  c.proxy.fault = () => "none";
  await eventually("it is over", async () => (await status()).problem === undefined);

  await reinstall(c.publisherAgent, c.canister, ICFS_WASM);
  await refused("nothing", new RegExp(`has no release, but this host accepted release ${last}`));
  for (let number = 1; number <= last; number++) await c.publish({ file: `forged ${number}\n` });
  await refused(
    "a fork",
    new RegExp(`release ${last} is not the one that this host accepted before: this is a fork`),
  );
  await umount();
});

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
