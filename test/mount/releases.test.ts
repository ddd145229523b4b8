/** A mount that follows its canister: new releases, outages, what is kept on disk, and what it says of itself. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { MountStatus } from "../../lib/mount/status.ts";
import { startCanister } from "../support/canister-network.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { eventually, mountpointFor, sh } from "./mounts.ts";

const MiB = 1024 * 1024;

/** A canister behind a fault proxy, and ways to publish to it and to mount it. */
async function setUp(t: Parameters<typeof mountpointFor>[0]) {
  const canister = await startCanister(t as never);
  const id = canister.canister.toText();
  const tree = join(canister.directory, "tree");
  await mkdir(join(tree, "pxelinux.cfg"), { recursive: true });
  const proxy = await startFaultProxy(t as never, canister.url);
  const publish = async (files: Record<string, string | Buffer>) => {
    for (const [name, content] of Object.entries(files)) await writeFile(join(tree, name), content);
    const { code, stderr } = await canister.icfs(["publish", tree, id]);
    if (code !== 0) throw new Error(stderr);
  };
  const mount = async (...options: string[]) => {
    const mountpoint = await mountpointFor(t);
    const args = [
      "mount",
      id,
      mountpoint,
      "--network",
      proxy.url,
      "--log-file",
      join(canister.directory, "log"),
    ];
    const result = await canister.icfs([...args, ...options]);
    const status = async (): Promise<MountStatus> =>
      JSON.parse((await canister.icfs(["status", mountpoint, "--json"])).stdout)[0];
    return { ...result, mountpoint, status };
  };
  const same = async (mountpoint: string) => (await sh("diff", "-r", tree, mountpoint)).code === 0;
  return { ...canister, id, tree, proxy, publish, mount, same };
}

t.test("a new release goes live by itself, and an open file stays what it was", async (t) => {
  const c = await setUp(t);
  await c.publish({ file: "first\n", large: randomBytes(3 * MiB), same: randomBytes(MiB) });
  const { mountpoint, status, code, stderr } = await c.mount("--refresh", "0.3", "--quiet", "0");
  t.equal(code, 0, stderr);
  await c.publish({ file: "second\n", large: randomBytes(2 * MiB), new: "new\n" });
  await eventually("release 2 is live", async () => (await status()).release === 2);
  t.ok(await c.same(mountpoint), "all of it is release 2");
  const said = await status();
  t.match(said, { release: 2, canister: c.id, hydrated: true, mountpoint });
  t.ok(said.proofAge < 120);
  const xattr = await sh(
    "python3",
    "-c",
    'import os, sys; print([os.getxattr(sys.argv[1], "user.icfs." + n).decode() for n in ("release", "canister", "sha256")])',
    join(mountpoint, "new"),
  );
  t.match(
    xattr.stdout,
    `['2', '${c.id}', '7aa7a5359173d05b63cfd682e3c38487f3cb4f7f1d60659fe59fab1505977d4c']`,
  );
  t.match((await c.icfs(["status", mountpoint])).stdout, /release +2 of .*\n.*all here/);
});

t.test("a new release waits for quiet", async (t) => {
  const c = await setUp(t);
  await c.publish({ file: "first\n" });
  const { mountpoint, status } = await c.mount("--refresh", "0.3", "--quiet", "4");
  await sh("cat", join(mountpoint, "file"));
  await c.publish({ file: "second\n" });
  await eventually("it waits", async () => (await status()).next?.state === "waiting for quiet");
  t.equal((await sh("cat", join(mountpoint, "file"))).stdout, "first\n", "and this begins the wait anew");
  await eventually("it is live", async () => (await status()).release === 2);
  t.equal((await sh("cat", join(mountpoint, "file"))).stdout, "second\n");
});

t.test("what was mounted once is mounted and read without the network", async (t) => {
  const c = await setUp(t);
  await c.publish({ file: "file\n", large: randomBytes(5 * MiB) });
  const warm = await c.mount("--ready", "hydrated");
  t.equal(warm.code, 0, warm.stderr);
  await c.icfs(["umount", warm.mountpoint]);
  c.proxy.fault = () => "drop";
  const asked = c.proxy.queries;
  const cut = await c.mount("--read-timeout", "2");
  t.equal(cut.code, 0, cut.stderr);
  t.match(cut.stderr, /mounted from what was kept on this host, certified .* ago: /);
  t.ok(await c.same(cut.mountpoint));
  t.match(await cut.status(), { warning: /kept on this host/, cache: { misses: 0 } });
  t.ok(c.proxy.queries > asked, "it has tried");
  await c.icfs(["umount", cut.mountpoint]);

  const before = c.proxy.queries;
  const offline = await c.mount("--offline");
  t.equal(offline.code, 0, offline.stderr);
  t.ok(await c.same(offline.mountpoint));
  t.equal(c.proxy.queries, before, "with --offline nothing is asked");
  await c.icfs(["umount", offline.mountpoint]);

  const stale = await c.mount("--read-timeout", "2", "--max-stale", "0");
  t.match(stale, { code: 1, stderr: /was certified .* ago, which --max-stale does not allow/ });
  const nothing = await c.mount("--offline", "--cache-dir", join(c.directory, "empty"));
  t.match(nothing, {
    code: 1,
    stderr: /nothing of .* is kept on this host: mount it once without --offline/,
  });
});

t.test("damage on disk is found and fetched again", async (t) => {
  const c = await setUp(t);
  await c.publish({ file: randomBytes(2 * MiB) });
  const warm = await c.mount("--ready", "hydrated");
  await c.icfs(["umount", warm.mountpoint]);
  const cache = join(c.env.XDG_CACHE_HOME!, "icfs");
  const files = (await readdir(join(cache, "chunks"), { recursive: true })).filter((name) =>
    name.includes("/"),
  );
  t.ok(files.length >= 3, "two chunks, and a manifest");
  for (const name of files) await writeFile(join(cache, "chunks", name), "");
  const again = await c.mount();
  t.equal(again.code, 0, again.stderr);
  t.ok(await c.same(again.mountpoint));
  t.ok((await again.status()).disk!.corrupt >= 3);
  t.match(await c.icfs(["cache", "verify"]), { code: 0, stdout: /^all \d+ chunks/ });
  const { pins } = JSON.parse((await c.icfs(["cache", "ls", "--json"])).stdout);
  t.match(pins, [{ chunks: 3 }], "the mount has pinned what it needs");
  t.match(
    JSON.parse((await c.icfs(["cache", "clear", "--json"])).stdout),
    { chunks: 0 },
    "which is not cleared",
  );
  await c.icfs(["umount", again.mountpoint]);
  t.match(JSON.parse((await c.icfs(["cache", "clear", "--json"])).stdout), { chunks: 3 });
});

t.test("a boot configuration's files are fetched before they are asked for", async (t) => {
  const c = await setUp(t);
  await c.publish({
    "pxelinux.cfg/default": "default linux\nlabel linux\n  kernel vmlinuz\n  append initrd=initrd.gz quiet\n",
    vmlinuz: randomBytes(2 * MiB),
    "initrd.gz": randomBytes(3 * MiB),
    other: randomBytes(2 * MiB),
  });
  const { mountpoint, status } = await c.mount("--prefetch", "boot");
  const { cache } = await status();
  t.equal(cache.chunksVerified, 0, "nothing before");
  await sh("cat", join(mountpoint, "pxelinux.cfg/default"));
  await eventually(
    "the kernel and the initrd are here",
    async () => (await status()).cache.bytesVerified >= 5 * MiB,
  );
  t.ok((await status()).cache.bytesVerified < 7 * MiB, "and nothing else");
});
