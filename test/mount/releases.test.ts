/** A mount that follows its canister, and its messages. */
import { randomBytes } from "node:crypto";
import t from "tap";
import { exactly } from "../support/exactly.ts";
import { startMountable } from "../support/mountable.ts";
import { eventually, HUNG, sh } from "./mounts.ts";

t.setTimeout(10 * HUNG);

const MiB = 1024 * 1024;

const c = await startMountable(t);

t.test("a new release goes live by itself, and the status says so", async (t) => {
  await c.publish({ file: "first\n", large: randomBytes(3 * MiB), same: randomBytes(MiB) });
  const { mountpoint, status, umount } = await c.mount("--refresh", "0.3", "--quiet", "0");
  await c.publish({ file: "second\n", large: randomBytes(2 * MiB), new: "new\n" });
  await eventually("release 2 is live", async () => (await status()).release === 2);
  t.ok(await c.same(mountpoint), "all of it is release 2");
  const said = await status();
  t.match(said, { release: 2, canister: c.id, hydrated: true, mountpoint });
  t.ok(said.proofAge < 120);
  t.match((await c.icfs(["status", mountpoint])).stdout, /release +2 of .*\n.*all here/);
  await umount();
});

t.test("chunks that a live mount needs are not cleared from the cache", async (t) => {
  const cache = ["--cache-dir", `${c.directory}/pinned`];
  const { umount } = await c.mount("--ready", "hydrated", ...cache);
  const { pins, chunks } = JSON.parse((await c.icfs(["cache", "ls", "--json", ...cache])).stdout);
  t.match(pins, exactly({ chunks }), "every chunk is pinned");
  t.match(JSON.parse((await c.icfs(["cache", "clear", "--json", ...cache])).stdout), { chunks: 0 });
  await umount();
  t.match(JSON.parse((await c.icfs(["cache", "clear", "--json", ...cache])).stdout), { chunks });
});

t.test("a boot configuration's files are fetched before they are requested", async (t) => {
  await c.publish({
    "pxelinux.cfg/default": "default linux\nlabel linux\n  kernel vmlinuz\n  append initrd=initrd.gz quiet\n",
    vmlinuz: randomBytes(2 * MiB),
    "initrd.gz": randomBytes(3 * MiB),
    other: randomBytes(2 * MiB),
  });
  const { at, status } = await c.mount("--prefetch", "boot", "--max-cache-size", "0");
  const { cache } = await status();
  t.equal(cache.chunksVerified, 0, "nothing is fetched before the boot configuration is read");
  await sh("cat", at("pxelinux.cfg/default"));
  await eventually(
    "the kernel and the initrd are here",
    async () => (await status()).cache.bytesVerified >= 5 * MiB,
  );
  t.ok((await status()).cache.bytesVerified < 7 * MiB, "no other file is fetched");
});
