/** The follower with sources and hydrators of the test's own, for what takes luck with real ones. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { createLog } from "../../lib/log.ts";
import { Follower, type Following } from "../../lib/mount/follow.ts";
import type { Hydration, Hydrator } from "../../lib/mount/hydrate.ts";
import { Quiet } from "../../lib/mount/quiet.ts";
import type { Release } from "../../lib/source/source.ts";
import { Tree } from "../../lib/tree/tree.ts";

const release = (name: string): Release => ({
  number: undefined,
  hash: Buffer.alloc(32, name),
  certifiedAt: new Date(),
  verified: "certified",
});
const tree = Tree.of(
  {
    chunks: [{ sha256: Buffer.alloc(32), size: 1 }],
    entries: [
      {
        kind: "file",
        path: "file",
        modified: 0n,
        size: 1,
        sha256: undefined,
        executable: false,
        extents: [{ chunk: 0, offset: 0, length: 1 }],
      },
    ],
  },
  0n,
);

t.test("what is live goes on being fetched when the next release is abandoned", async (t) => {
  let newest = "A";
  let begun = 0;
  const mayEnd = Promise.withResolvers<void>();
  const hydrator: Pick<Hydrator, "hydrate"> = {
    async hydrate(_tree, progress: Hydration, signal) {
      begun += 1;
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
      await Promise.race([mayEnd.promise, aborted]);
      progress.filesDone = progress.files;
    },
  };
  const work: Following = {
    newest: async () => release(newest),
    openTree: async () => tree,
    switchTo: async () => {},
    renewed: async () => {},
    keep: async () => {},
    reserve: async () => true,
    isLocal: async () => true,
  };
  const follower = new Follower(release("A"), tree, true, work, {
    refresh: 20,
    hydrate: true,
    hydrator: hydrator as Hydrator,
    quiet: new Quiet(0, 0),
    log: createLog("error"),
  });
  let isHydrated = false;
  void follower.hydrated.then(() => {
    isHydrated = true;
  });
  void follower.run();
  newest = "B";
  while (begun < 2) await sleep(5);
  newest = "A";
  while (begun < 3) await sleep(5);
  await sleep(100);
  t.notOk(isHydrated, "nothing is here yet");
  mayEnd.resolve();
  await follower.hydrated;
  t.equal(follower.status().live.hash.toString("latin1", 0, 1), "A");
  follower.end();
});
