/** icfs mount --serve: other hosts get chunks that the mount has, and never make it fetch any. */
import { createHash, randomBytes } from "node:crypto";
import t from "tap";
import { HUNG } from "../support/icfs.ts";
import { startMountable } from "../support/mountable.ts";
import { sh } from "./mounts.ts";

t.setTimeout(10 * HUNG);

const MiB = 1024 * 1024;
const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const c = await startMountable(t);
const large = randomBytes(2 * MiB);
await c.publish({ "pxelinux.0": "loader\n", large });

t.test("a mount serves only what it has, and fetches nothing for others", async (t) => {
  const mount = await c.mount("--serve", "0", "--prefetch", "none");
  const { url } = (await mount.status()).site!;
  const chunk = `${url}/.icfs/chunk/${sha(large.subarray(0, MiB))}`;
  const { queries } = c.proxy;
  t.equal((await fetch(`${url}/.icfs/release`)).status, 200);
  t.equal((await fetch(chunk)).status, 404, "a chunk that was not read yet is not served");
  const notYet = await fetch(`${url}/large`);
  t.same([notYet.status, notYet.headers.get("retry-after")], [503, "10"]);
  t.match(await notYet.text(), /not all of this file is here yet/);
  t.equal(c.proxy.queries, queries, "requests to the mount's server fetch nothing");
  t.match(await sh("cmp", mount.at("large"), `${c.tree}/large`), { code: 0 });
  t.equal(sha(Buffer.from(await (await fetch(chunk)).arrayBuffer())), sha(large.subarray(0, MiB)));
  t.equal(sha(Buffer.from(await (await fetch(`${url}/large`)).arrayBuffer())), sha(large));
  t.match((await mount.status()).site, { url, chunks: 1, files: 1, missing: 2, bytes: 3 * MiB });
  t.match(await c.icfs(["status", mount.mountpoint]), {
    stdout: /^ {2}serves +http:\S+: .* 1 chunks and 1 files given/m,
  });
  await mount.umount();
  await t.rejects(fetch(url), "it ends with the mount");
});

t.test("--serve is refused without a disk cache", async (t) => {
  const said = await c.tryMount("--serve", "0", "--max-cache-size", "0");
  t.match(said, { code: 2, stderr: /leave out --max-cache-size 0/ });
});
