/** `icfs status`: everything about a mount in one call, for people and for scripts. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { MountStatus } from "../../../lib/live/report/status.ts";
import { sh } from "../../mount/mounts.ts";
import { exactly } from "../../support/exactly.ts";
import { startMountable } from "../../support/mountable.ts";

const MiB = 1024 * 1024;
const { version } = JSON.parse(await readFile(new URL("../../../package.json", import.meta.url), "utf8"));

t.test("status shows release, proof, tiers, fetched data, errors, queue and last error", async (t) => {
  const c = await startMountable(t);
  await c.publish({ first: randomBytes(MiB), second: randomBytes(2 * MiB) });
  // Long enough for the file that must be read, and not too long to wait for the one that cannot be read.
  const mount = await c.mount("--prefetch", "none", "--read-timeout", "10");
  const text = async () => {
    const { code, stdout, stderr } = await c.icfs(["status", mount.mountpoint]);
    t.match({ code, stderr }, { code: 0, stderr: "" });
    const [first, ...lines] = stdout.trimEnd().split("\n");
    t.equal(first, mount.mountpoint);
    return Object.fromEntries(lines.map((line) => [line.slice(2, 12).trim(), line.slice(13)]));
  };
  t.match(await text(), {
    network: new RegExp(`^${c.proxy.url}: answered \\d+ s ago$`),
    queue: "0 chunks under way",
    "last error": "none",
  });

  t.equal((await sh("cmp", mount.at("first"), join(c.tree, "first"))).code, 0);
  c.proxy.fault = () => "silence";
  t.match((await sh("cat", mount.at("second"))).stderr, /Input\/output error/);

  const status = await mount.status();
  t.match(status, {
    version,
    release: 1,
    canister: c.id,
    proofAge: Number,
    hydrated: false,
    readers: { opens: 2, bytes: MiB },
    cache: { hits: Number, diskHits: 0, misses: Number, chunksVerified: 1, bytesVerified: MiB },
    disk: { bytesWritten: Number, corrupt: 0 },
    lastError: { at: /^\d{4}-.*Z$/, message: /^second: / },
  });
  t.ok(status.readers.errors >= 1);
  t.ok(status.cache.misses >= 2);
  t.ok(status.cache.failures >= 1);
  t.ok(status.cache.failingSince);
  t.match(await text(), {
    release: /^1 of \S+ \([0-9a-f]{64}\)$/,
    content: "2 files, 3.1 MB",
    proof: /^certified \d+ s ago$/,
    readers: /^0 files open, 2 opens, 1\.0 MB read, [1-9]\d* errors$/,
    cache: /^\d+ hits in memory, 0 on disk, [1-9]\d* misses; 1\.0 MB of 256 MiB in memory$/,
    fetched: /^1 chunks, 1\.0 MB, all verified; [1-9]\d* attempts failed$/,
    queue: /^\d+ chunks under way$/,
    outage: /^cold reads fail at once since \d{4}-/,
    disk: /\/icfs: 0\.0 kB read, 1\.0 MB written, 0 corrupt chunks found; takes 1\.\d MB of 4 GiB$/,
    "last error": /^\d{4}-\S+Z second: /,
    process: String(status.pid),
    program: `icfs ${version}`,
  });

  const { stdout } = await c.icfs(["status", "--json"]);
  const all: MountStatus[] = JSON.parse(stdout);
  t.match(
    all.filter(({ mountpoint }) => mountpoint === mount.mountpoint),
    exactly({ pid: status.pid }),
    "the mount is listed among all mounts",
  );
  t.match(await c.icfs(["status", c.directory]), { code: 1, stdout: "", stderr: /is not an icfs mount/ });
});
