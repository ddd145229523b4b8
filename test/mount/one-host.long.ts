/** Mounts of one host, each a process of its own, with one cache directory: together they fetch each chunk once. */
import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { FaultProxy } from "../support/fault-proxy.ts";
import { type Mountable, type Mounted, startMountable } from "../support/mountable.ts";
import { eventually, HUNG, sh } from "./mounts.ts";

t.setTimeout(30 * HUNG);

const FILES = 20;
/** Most files are a chunk each; the small ones are packed into one. */
const TREE = {
  "pxelinux.0": "loader\n",
  "pxelinux.cfg/default": "kernel file-7\nappend initrd=file-12\n",
  ...Object.fromEntries(Array.from({ length: FILES }, (_, i) => [`file-${i}`, randomBytes(900_000 + i)])),
};
/** So long that a busy machine is not taken for a silent network. A mount waits for another mount for a part of this time. */
const PATIENT = ["--read-timeout", "240"];
/** Each mount reads the manifest, which is a chunk; and a slow disk may have no room for one more. */
const A_COUPLE = 2;

const [c, other] = await Promise.all([startMountable(t), startMountable(t)]);
await Promise.all([c.publish(TREE), other.publish({ ...TREE, "pxelinux.0": "another loader\n" })]);

/** Counts the queries for each chunk. @param fault of those queries */
function counted(proxy: FaultProxy, fault: () => "none" | "silence" = () => "none"): Map<string, number> {
  const counts = new Map<string, number>();
  proxy.fault = (_, body) => {
    // The method's name in CBOR is a text of five bytes, and the hash in Candid a blob of 32.
    if (!body.includes(Buffer.from("\x65chunk"))) return "none";
    const argument = body.indexOf("DIDL");
    const hash = body.toString("hex", argument, argument + 64).replace(/^.*?20/, "");
    counts.set(hash, (counts.get(hash) ?? 0) + 1);
    return fault();
  };
  return counts;
}

function times(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

async function reads({ tree }: Mountable, { mountpoint }: Mounted): Promise<string> {
  return (await sh("diff", "-r", tree, mountpoint)).stdout;
}

t.test("two mounts that are read together fetch each chunk once", async (t) => {
  const counts = counted(c.proxy);
  const options = ["--cache-dir", join(c.directory, "read"), "--prefetch", "none", ...PATIENT];
  const mounts = await Promise.all([c.mount(...options), c.mount(...options)]);
  t.same(await Promise.all(mounts.map((mount) => reads(c, mount))), ["", ""]);
  t.ok(counts.size > FILES, `${counts.size} chunks`);
  t.ok(times(counts) <= counts.size + A_COUPLE, `asked for ${times(counts)} times`);
  const fetched = (await Promise.all(mounts.map((mount) => mount.status()))).map(({ cache }) => cache);
  t.ok(
    fetched[0]!.chunksVerified + fetched[1]!.chunksVerified <= counts.size + A_COUPLE,
    JSON.stringify(fetched),
  );
  for (const mount of mounts) await mount.umount();
});

t.test("two mounts of canisters with common chunks fetch each chunk once", async (t) => {
  const counts = [counted(c.proxy), counted(other.proxy)];
  const options = ["--cache-dir", join(c.directory, "fetch"), "--ready", "hydrated", ...PATIENT];
  const mounts = await Promise.all([c.mount(...options), other.mount(...options)]);
  t.equal(await reads(c, mounts[0]), "");
  t.equal(await reads(other, mounts[1]), "");
  const all = new Set(counts.flatMap((some) => [...some.keys()]));
  t.ok(all.size > FILES, `${all.size} chunks`);
  const asked = times(counts[0]!) + times(counts[1]!);
  t.ok(asked <= all.size + A_COUPLE, `asked for ${asked} times`);
  for (const mount of mounts) await mount.umount();
});

t.test("when a fetching mount is killed, the waiting mount fetches the chunk", async (t) => {
  let silent = false;
  const counts = counted(c.proxy, () => (silent ? "silence" : "none"));
  const cache = join(c.directory, "killed");
  const options = ["--cache-dir", cache, "--prefetch", "none", ...PATIENT];
  const mounts = [await c.mount(...options), await c.mount(...options)];
  // Both mounts have the manifest by now, which is a chunk as well.
  silent = true;
  const before = counts.size;
  const name = "file-3";
  const first = sh("cmp", join(c.tree, name), mounts[0]!.at(name));
  await eventually("the first fetches it", () => counts.size > before);
  const second = sh("cmp", join(c.tree, name), mounts[1]!.at(name));
  const claimed = await readdir(join(cache, "fetching"));
  t.ok(claimed.length > 0, "the cache shows the other mount that a fetch is under way");
  silent = false;
  const { pid } = await mounts[0]!.status();
  process.kill(pid, "SIGKILL");
  t.not((await first).code, 0);
  t.equal((await second).code, 0, "the other mount fetches the chunk");
  t.equal(await reads(c, mounts[1]!), "");
  // Readers do not wait for the claims' removal.
  await eventually("no claim is left", async () => (await readdir(join(cache, "fetching"))).length === 0);
  await mounts[1]!.umount();
});
