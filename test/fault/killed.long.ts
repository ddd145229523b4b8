/** icfs publish, killed at any moment: nothing is published wrongly, and the next run sends only what is missing. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { icfsCanister } from "../../lib/icfs-canister.ts";
import { missingChunks } from "../../lib/publish/upload.ts";
import { areNone, differences } from "../../lib/tree/diff.ts";
import { bytesOf, chunked, writeTree } from "../publish/trees.ts";
import { startCanister } from "../support/canister-network.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const KILLS = 20;
/** A publication takes about this long after the program has started: 8 MiB at 6 MiB/s, and the release. */
const SPREAD_MS = 2200;

t.test("killed at 20 random moments", async (t) => {
  const c = await startCanister(t, { bandwidth: 6, updateLatency: 200 });
  const owner = icfsCanister(c.publisherAgent, c.canister);
  const tree = join(c.directory, "tree");
  await mkdir(tree);
  const write = (version: number) =>
    writeTree(tree, {
      large: bytesOf(version, 5 * MiB),
      ...Object.fromEntries(
        Array.from({ length: 30 }, (_, i) => [`d/${i}`, bytesOf(1000 * version + i, 100 * KiB)]),
      ),
    });
  const args = ["publish", tree, c.canister.toText(), "--json"];
  const source = c.source();
  /** Which of these trees the canister shows; -1: none yet; undefined: another one. */
  const shown = async (trees: readonly Awaited<ReturnType<typeof chunked>>[]) => {
    const head = await source.head();
    if (head === undefined) return -1;
    const { entries } = await source.manifest(head.header);
    const found = trees.findIndex(({ manifest }) => areNone(differences(entries, manifest.entries)));
    return found < 0 ? undefined : found;
  };
  /** What a killed client has sent arrives later, or not at all. */
  const quiet = async () => {
    let before = -1n;
    for (;;) {
      const { chunks, newest } = await owner.status();
      if (chunks + newest === before) return;
      before = chunks + newest;
      await sleep(400);
    }
  };

  let version = 1;
  await write(version);
  const trees = [await chunked(tree)];
  let expected = -1;
  let killed = 0;
  let resumed = 0;
  while (killed < KILLS) {
    // Mostly into the upload; some before it, and some into the release.
    const moment = 300 + Math.random() * SPREAD_MS;
    const { code } = await c.icfs(args, {
      started: (child) => {
        setTimeout(() => child.kill("SIGKILL"), moment);
      },
    });
    await quiet();
    const now = await shown(trees);
    t.ok(
      now === expected || now === trees.length - 1,
      `after ${Math.round(moment)} ms, exit code ${code}: ${now}`,
    );
    if (code === 137) killed += 1;
    else t.equal(now, trees.length - 1, "it was done before");
    // Every few kills, or when the release was made nevertheless: the next tree.
    if (now !== trees.length - 1 && killed % 5 !== 0) continue;
    if (now !== trees.length - 1) {
      const { length } = await missingChunks(owner, trees.at(-1)!.chunks);
      const { stdout, stderr } = await c.icfs(args);
      t.equal(stderr.includes("icfs:"), false, stderr);
      t.match(JSON.parse(stdout), { chunksUploaded: length }, "only what is missing is sent");
      if (length < trees.at(-1)!.chunks.length) resumed += 1;
      t.equal(await shown(trees), trees.length - 1, "and the release is the tree");
    }
    expected = trees.length - 1;
    version += 1;
    await write(version);
    trees.push(await chunked(tree));
  }
  t.ok(resumed > 0, `${resumed} runs sent less than everything`);
});
