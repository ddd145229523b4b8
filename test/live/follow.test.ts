/** The follower, with sources and hydrators of the test's own: real ones would show these cases only by luck. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { WrongFileError } from "../../lib/cache/file-reader.ts";
import { UntimelyError } from "../../lib/ic/certificate/certificate.ts";
import { Follower, type FollowerOptions } from "../../lib/live/follow.ts";
import { Quiet } from "../../lib/live/quiet.ts";
import type { Release } from "../../lib/source/source.ts";
import { keyOf } from "../../lib/tree/tree.ts";
import { exactly } from "../support/exactly.ts";
import { chunkOf, liveOf, mountedOf, releaseOf, treeOf } from "./live.ts";

const tree = treeOf(chunkOf("a"));
const A = releaseOf("A");
const B = releaseOf("B");

/** Follows a source from release A on. Its newest release is `newest.release`. */
function following(
  hydrate: FollowerOptions["hydrator"]["hydrate"],
  {
    quiet = new Quiet(0, 0),
    ...fixture
  }: Partial<Pick<FollowerOptions, "quiet">> & Parameters<typeof liveOf>[1] = {},
) {
  const newest = {
    release: A,
    looks: 0,
    refuse: undefined as (() => Error) | undefined,
    /** The source's answer is held back until this is settled. */
    answer: undefined as Promise<void> | undefined,
    /** Its tree cannot be read. */
    isBroken: false,
  };
  const mounted = liveOf(mountedOf(A, tree), fixture);
  const source = {
    async newest(): Promise<Release> {
      newest.looks += 1;
      await newest.answer;
      if (newest.refuse !== undefined) throw newest.refuse();
      return newest.release;
    },
    async tree() {
      if (newest.isBroken) throw new Error("no manifest");
      return tree;
    },
  };
  const follower = new Follower(source, mounted.live, true, {
    refresh: 20,
    hydrate: true,
    hydrator: { hydrate },
    quiet,
    pieces: undefined,
    log: mounted.log,
  });
  t.teardown(() => follower.end());
  return { ...mounted, newest, follower };
}

t.test("when the next release is abandoned, fetching of the live release resumes", async (t) => {
  let begun = 0;
  const mayEnd = Promise.withResolvers<void>();
  const { live, onDisk, newest, follower } = following(async (_tree, progress, signal) => {
    begun += 1;
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
    });
    await Promise.race([mayEnd.promise, aborted]);
    onDisk.add(keyOf(chunkOf("a")));
    progress.filesDone = progress.files;
  });
  let isHydrated = false;
  void follower.hydrated.then(() => {
    isHydrated = true;
  });
  void follower.run();
  newest.release = B;
  while (begun < 2) await sleep(5);
  t.match(follower.status().next, { release: B, state: "hydrating" });
  newest.release = A;
  while (begun < 3) await sleep(5);
  const { looks } = newest;
  while (newest.looks < looks + 3) await sleep(5);
  t.notOk(isHydrated, "the live release is not hydrated yet");
  mayEnd.resolve();
  await follower.hydrated;
  t.match(live.now, { release: A, hydration: { filesDone: 1 } });
});

t.test("a release that contradicts its manifest does not go live, and is fetched only once", async (t) => {
  let fetched = 0;
  const { live, logged, newest, follower } = following(async (_tree, progress) => {
    fetched += 1;
    if (fetched > 1) throw new WrongFileError("0: lies");
    progress.filesDone = progress.files;
  });
  void follower.run();
  await follower.hydrated;
  newest.release = B;
  while (!logged.some((line) => /does not go live: 0: lies/.test(line))) await sleep(5);
  const { looks } = newest;
  while (newest.looks < looks + 3) await sleep(5);
  t.equal(logged.filter((line) => /is out/.test(line)).length, 1);
  t.equal(live.now.release, A);
  t.equal(follower.status().next, undefined);
});

t.test("the wait for quiet starts over once no release waits any more", async (t) => {
  const starts: number[] = [];
  const quiet = {
    isQuiet: false,
    wait: (start: number, signal: AbortSignal) => {
      starts.push(start);
      return new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    },
  };
  const { logged, newest, follower } = following(async () => {}, { quiet });
  const waiting = async (release: Release, count: number) => {
    newest.release = release;
    while (starts.length < count) await sleep(5);
  };
  void follower.run();
  await waiting(B, 1);
  await waiting(releaseOf("C"), 2);
  t.equal(starts[1], starts[0], "a newer release goes on with the wait of the one before");
  newest.release = A;
  while (follower.status().next !== undefined) await sleep(5);
  await waiting(B, 3);
  t.not(starts[2], starts[1], "after a channel has gone back, nothing waited");
  newest.isBroken = true;
  newest.release = releaseOf("C");
  while (!logged.some((line) => /does not go live: no manifest/.test(line))) await sleep(5);
  newest.isBroken = false;
  await waiting(releaseOf("D"), 4);
  t.not(starts[3], starts[2], "nor after a release that could not be read");
});

t.test("a boot that begins while a switch is prepared puts it off", async (t) => {
  const quiet = new Quiet(20, 3_600_000);
  const opens = { left: 1 };
  const paths = async () => {
    if (opens.left > 0) quiet.opened();
    opens.left -= 1;
    return [];
  };
  const { live, newest, follower } = following(async () => {}, { quiet, paths });
  void follower.run();
  newest.release = B;
  while (opens.left > 0) await sleep(5);
  const { looks } = newest;
  while (newest.looks < looks + 3) await sleep(5);
  t.equal(live.now.release, A);
  t.match(follower.status().next, { release: B, state: "waiting for quiet" });
  quiet.closed();
  while (live.now.release !== B) await sleep(5);
  t.equal(follower.status().next, undefined);
});

t.test("a release abandoned while its switch is prepared does not go live", async (t) => {
  const prepared = Promise.withResolvers<string[]>();
  let asked = false;
  const paths = () => {
    asked = true;
    return prepared.promise;
  };
  const { live, logged, newest, follower } = following(async () => {}, { paths });
  void follower.run();
  newest.release = B;
  while (!asked) await sleep(5);
  newest.release = A;
  while (follower.status().next !== undefined) await sleep(5);
  prepared.resolve([]);
  const { looks } = newest;
  while (newest.looks < looks + 3) await sleep(5);
  t.equal(live.now.release, A);
  t.notOk(logged.some((line) => /is live/.test(line)));
});

t.test("a release that cannot be kept still goes live, and is read on demand", async (t) => {
  const { live, logged, newest, follower } = following(async (_tree, progress) => {
    progress.filesDone = progress.files;
  });
  void follower.run();
  await follower.hydrated;
  t.equal(live.now.hydration, undefined, "the release does not count as hydrated");
  newest.release = B;
  while (live.now.release !== B) await sleep(5);
  t.ok(logged.some((line) => /is live \(it is read on demand\)/.test(line)));
});

t.test("a release whose proof cannot be kept does not count as kept, and the log says so", async (t) => {
  const { live, logged, broken, onDisk, follower } = following(async (_tree, progress) => {
    onDisk.add(keyOf(chunkOf("a")));
    progress.filesDone = progress.files;
  });
  broken.add("proof");
  void follower.run();
  await follower.hydrated;
  t.equal(live.isKept, false);
  t.match(
    logged.join("\n"),
    /what proves .* could not be kept: it cannot be served again without the network/,
  );
  t.notMatch(logged.join("\n"), /it needs no network/);
});

t.test(
  "when the newest release is withheld, the live one stays, and the status and one log line say why",
  async (t) => {
    const { live, logged, newest, follower } = following(async () => {});
    void follower.run();
    const lookAgain = async () => {
      const { looks } = newest;
      while (newest.looks < looks + 3) await sleep(5);
    };
    let seconds = 0;
    newest.refuse = () => {
      seconds += 61;
      const clock = new Date(seconds * 1000).toISOString();
      return new UntimelyError(
        `it is signed more than 5 minutes in the past (this host's clock says ${clock})`,
      );
    };
    await lookAgain();
    const said = () => logged.filter((line) => line.includes("cannot ask for the newest release"));
    t.match(said(), exactly(/signed more than 5 minutes in the past.*goes on with snapshot/));
    t.equal(said().length, 1);
    t.match(follower.status(), { problem: /signed more than 5 minutes in the past/ });
    t.equal(live.now.release, A);
    newest.refuse = () => new Error("nobody answers");
    await lookAgain();
    t.equal(said().length, 2, "another reason is logged as well");
    newest.refuse = undefined;
    await lookAgain();
    t.equal(follower.status().problem, undefined);
  },
);

t.test("a check still under way when the follower ends changes nothing", async (t) => {
  let fetches = 0;
  const { live, newest, follower } = following(async () => {
    fetches += 1;
  });
  const answer = Promise.withResolvers<void>();
  newest.answer = answer.promise;
  newest.release = B;
  const running = follower.run();
  while (newest.looks === 0) await sleep(5);
  const before = fetches;
  follower.end();
  answer.resolve();
  await running;
  t.equal(follower.status().next, undefined);
  t.match(live.now, { release: A });
  t.equal(fetches, before);
});
