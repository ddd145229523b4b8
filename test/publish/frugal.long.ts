/** How little icfs publish sends for a small change in a large tree, and for no change. */
import { mkdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { Publication } from "../../lib/publish/publish.ts";
import { startCanister } from "../support/canister-network.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { bytesOf, writeTree } from "./trees.ts";

const MiB = 1024 * 1024;
const LIMIT = 2.2 * MiB;

t.test("a tree of 1,000 files, 64 MiB in all", async (t) => {
  const c = await startCanister(t);
  const proxy = await startFaultProxy(t, c.url);
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  const path = (i: number) => `d${i % 20}/file${String(i).padStart(4, "0")}`;
  const random = bytesOf(1, 4 * 1000);
  for (let i = 0; i < 1000; i++) {
    const size = i % 10 === 0 ? 10_000 : random.readUInt32BE(4 * i) % 145_000;
    await writeTree(tree, { [path(i)]: bytesOf(10_000 + i, size) });
  }
  const publish = async () => {
    const calls = proxy.calls;
    const { code, stdout, stderr } = await c.icfs([
      "publish",
      tree,
      c.canister.toText(),
      "--json",
      "--network",
      proxy.url,
    ]);
    if (code !== 0) throw new Error(stderr);
    return { ...(JSON.parse(stdout) as Publication), calls: proxy.calls - calls };
  };
  const first = await publish();
  t.ok(first.bytesUploaded > 60 * MiB && first.bytesUploaded < 72 * MiB, `${first.bytesUploaded} bytes`);

  await t.test("when nothing has changed, no chunk is sent, and no update call is made", async (t) => {
    const queries = proxy.queries;
    t.match(await publish(), { release: 1, chunksUploaded: 0, bytesUploaded: 0, calls: 0 });
    // For the head, and the manifest's pieces.
    t.ok(proxy.queries - queries < 10, `${proxy.queries - queries} queries`);
  });

  await t.test("changed times alone make no new release", async (t) => {
    for (let i = 0; i < 1000; i++) await utimes(join(tree, path(i)), i, i);
    t.match(await publish(), { release: 1, chunksUploaded: 0, bytesUploaded: 0, calls: 0 });
    t.match((await c.source().head())?.header, { number: 1 });
  });

  const victim = join(tree, path(500));
  const content = await readFile(victim);
  const changes: Record<string, () => Promise<void>> = {
    changed: () => writeFile(victim, bytesOf(1, 10_000)),
    inserted: () => writeFile(`${victim}-more`, bytesOf(2, 10_000)),
    removed: () => rm(victim),
  };
  t.equal(content.length, 10_000);
  for (const [i, [change, make]] of Object.entries(changes).entries()) {
    await make();
    const { release, bytesUploaded, chunksUploaded, calls } = await publish();
    t.equal(release, 2 + i);
    t.ok(bytesUploaded > 0 && bytesUploaded < LIMIT, `${change}: ${bytesUploaded} bytes`);
    t.ok(calls <= chunksUploaded + 1, `${calls} update calls`);
  }
});
