/** When icfs publish is killed, at any moment, no wrong release is published, and the next run sends only what is missing. */
import { randomInt } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { icfsCanister } from "../../lib/icfs-canister.ts";
import { missingChunks } from "../../lib/publish/upload.ts";
import { areNone, differences } from "../../lib/tree/diff.ts";
import { eventually } from "../mount/mounts.ts";
import { bytesOf, chunked, writeTree } from "../publish/trees.ts";
import { startCanister } from "../support/canister-network.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const KILLS = 20;
/** A publication makes at least so many calls: one for each MiB, and one for the release. */
const CALLS = 10;
/** About how many milliseconds a call takes, while others are under way. */
const CALL_MS = 400;

t.test("icfs publish, killed at 20 random moments, never publishes a wrong release", async (t) => {
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
  const proxy = await startFaultProxy(t, c.url);
  const args = ["publish", tree, c.canister.toText(), "--json", "--network", proxy.url];
  const source = c.source();
  /** The index of the tree that the canister shows: -1 when it has no release yet, undefined when it shows another tree. */
  const shown = async (trees: readonly Awaited<ReturnType<typeof chunked>>[]) => {
    const head = await source.head();
    if (head === undefined) return -1;
    const { entries } = await source.manifest(head.header);
    const found = trees.findIndex(({ manifest }) => areNone(differences(entries, manifest.entries)));
    return found < 0 ? undefined : found;
  };
  let version = 1;
  await write(version);
  const trees = [await chunked(tree)];
  let expected = -1;
  let killed = 0;
  let resumed = 0;
  while (killed < KILLS) {
    // Most kills come during the upload, some before it, and some during the release.
    const call = randomInt(CALLS + 1);
    const moment = randomInt(CALL_MS);
    const { code } = await c.icfs(args, {
      started: (child) => {
        const kill = () => void setTimeout(() => child.kill("SIGKILL"), moment);
        const before = proxy.calls;
        if (call === 0) kill();
        proxy.fault = (path) => {
          if (path.endsWith("/call") && proxy.calls === before + call) kill();
          return "none";
        };
      },
    });
    proxy.fault = () => "none";
    await eventually("what it has sent has arrived, or is lost", () => proxy.isIdle());
    const now = await shown(trees);
    t.ok(
      now === expected || now === trees.length - 1,
      `${moment} ms after call ${call}, exit code ${code}: the canister shows tree ${now}`,
    );
    if (code === 137) killed += 1;
    else t.equal(now, trees.length - 1, "a run that was not killed has published its tree");
    // The next tree follows after every few kills, or when the release was made despite the kill.
    if (now !== trees.length - 1 && killed % 5 !== 0) continue;
    if (now !== trees.length - 1) {
      const { length } = await missingChunks(owner, trees.at(-1)!.chunks);
      const { stdout, stderr } = await c.icfs(args);
      t.equal(stderr.includes("icfs:"), false, stderr);
      t.match(JSON.parse(stdout), { chunksUploaded: length }, "only missing chunks are uploaded");
      if (length < trees.at(-1)!.chunks.length) resumed += 1;
      t.equal(await shown(trees), trees.length - 1, "the published release matches the tree");
    }
    expected = trees.length - 1;
    version += 1;
    await write(version);
    trees.push(await chunked(tree));
  }
  t.ok(resumed > 0, `${resumed} runs resumed a partial upload`);
});
