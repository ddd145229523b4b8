/** A mount of all channels over a made-up canister and transport: its directories, and when each of them switches, comes or goes. */
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import t, { type Test } from "tap";
import { openDiskStore } from "../../lib/cache/disk-store.ts";
import { defaultMountOptions } from "../../lib/fs/mounting/fuse-options.ts";
import type { Mount } from "../../lib/fs/mounting/mountinfo.ts";
import type { MountedTransport } from "../../lib/fs/transport.ts";
import { type FileSystem, ROOT_INODE } from "../../lib/fs/view/filesystem.ts";
import { LiveRelease } from "../../lib/live/live-release.ts";
import { metricsOf } from "../../lib/live/report/metrics.ts";
import { createLog } from "../../lib/log.ts";
import { ChannelsMount } from "../../lib/mount/channels-mount.ts";
import { openFirstChannels } from "../../lib/mount/first-channels.ts";
import type { CanisterMountOptions } from "../../lib/mount/options.ts";
import { AllChannels } from "../../lib/source/icfs/all-channels.ts";
import { open } from "../fs/view/over-tree.ts";
import { exactly } from "../support/exactly.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { type MadeUpChannels, madeUpChannels, versionOf } from "../support/made-up-channels.ts";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");
const HOUR = 3_600_000;
const BLOCK = 4096;
let mounts = 0;

/** Waits for something that takes a few turns of the event loop. */
async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 6000; i++) {
    if (condition()) return;
    await sleep(5);
  }
  throw new Error(`it did not happen: ${what}`);
}

interface Host {
  readonly cache: string;
  readonly canister: MadeUpChannels;
}

/** A host, and a canister of three releases with two channels: stable is release 1, and canary is release 2. */
async function newHost(t: Test): Promise<Host> {
  process.env.XDG_STATE_HOME = await temporaryDirectory(t);
  const canister = madeUpChannels();
  canister.publish(3);
  canister.promote("stable", 1);
  canister.promote("canary", 2);
  return { cache: await temporaryDirectory(t), canister };
}

/** @param capacity the disk cache's */
async function mounted(
  t: Test,
  { cache, canister }: Host,
  given: Partial<CanisterMountOptions> = {},
  capacity = 1000 * BLOCK,
) {
  const logged: string[] = [];
  const log = createLog("info", (line) => logged.push(line.replace(/^\S+ /, "").trimEnd()));
  const store = openDiskStore(cache, capacity, log);
  let fileSystem: FileSystem | undefined;
  mounts += 1;
  const device = `0:${process.pid}${mounts}`;
  const options: CanisterMountOptions = {
    mountpoint: "/srv/tftp",
    mount: defaultMountOptions("canister"),
    allChannels: true,
    accessLog: undefined,
    source: undefined,
    listXattrs: false,
    trust: "query",
    transport: async (request) => {
      fileSystem = request.fileSystem;
      const mount = { device, mountpoint: "/srv/tftp" } as Mount;
      const switchTo = async (swap: () => void) => swap();
      return { mount, openFiles: () => 0, switchTo } as Partial<MountedTransport> as MountedTransport;
    },
    memory: 1_000_000,
    store,
    readTimeout: 1000,
    refresh: 0,
    quiet: 0,
    switchWithin: HOUR,
    maxStale: Number.POSITIVE_INFINITY,
    prefetch: "all",
    ready: "verified",
    openWhole: undefined,
    retry: 0,
    waiting: undefined,
    mirrors: undefined,
    offline: false,
    statsFile: undefined,
    metrics: undefined,
    serve: undefined,
    notifySocket: undefined,
    log,
    ...given,
  };
  const channels = new AllChannels(canister.address, canister.readers);
  const first = await openFirstChannels(canister.address, channels, options);
  const mount = new ChannelsMount(canister.address, channels, first, options);
  await mount.mount({ path: "/srv/tftp", name: "/srv/tftp", entries: 0 });
  mount.follow();
  let isOver = false;
  const end = async () => {
    if (isOver) return;
    isOver = true;
    mount.end();
    await store.close();
  };
  t.teardown(end);

  const root = fileSystem!;
  const names = () => root.readdir(ROOT_INODE).map(({ name }) => name);
  const inodeOf = (path: string) =>
    path.split("/").reduce((inode, name) => root.lookup(inode, name), ROOT_INODE);
  const read = async (handle: number) => Buffer.concat(await root.read(handle, 0, 100)).toString();
  const text = async (path: string) => {
    const handle = open(root, inodeOf(path));
    const content = await read(handle);
    root.release(handle);
    return content;
  };
  /** The channels with the numbers of their releases, by the mount's status. */
  const shown = () =>
    Object.fromEntries(mount.status().channels!.map(({ channel, release }) => [channel, release]));
  const shows = async (wanted: Record<string, number>) => {
    await until(JSON.stringify(wanted), () => JSON.stringify(shown()) === JSON.stringify(wanted));
    t.same(names(), Object.keys(wanted));
    for (const [name, number] of Object.entries(wanted)) {
      t.equal(await text(`${name}/version`), versionOf(number), name);
    }
  };
  let looks = 0;
  const look = channels.look.bind(channels);
  channels.look = () =>
    look().finally(() => {
      // By then the caller of look() has its result.
      setImmediate(() => {
        looks += 1;
      });
    });
  const looked = async () => {
    const before = looks;
    mount.refresh();
    await until("it has looked", () => looks > before);
  };
  return { mount, root, inodeOf, read, text, shown, shows, names, looked, logged, end };
}

t.test("each directory follows its channel, forwards and back, with one request for all", async (t) => {
  const host = await newHost(t);
  const { canister } = host;
  const { mount, root, inodeOf, read, shows, looked, logged } = await mounted(t, host);
  t.match(mount.describe(), {
    mountpoint: "/srv/tftp",
    files: 4,
    warning: undefined,
    channels: exactly(
      { channel: "canary", serial: 1, release: 2, files: 2 },
      { channel: "stable", serial: 1, release: 1, files: 2 },
    ),
  });
  await shows({ canary: 2, stable: 1 });
  const metrics = await metricsOf(mount.status());
  t.match(metrics, /^icfs_release\{channel="canary",canister="[^"]+",mountpoint="\/srv\/tftp"\} 2$/m);
  t.match(metrics, /^icfs_channel_serial\{channel="stable",.*\} 1$/m);
  t.match(
    metrics,
    /^icfs_opens_total\{canister="[^"]+",mountpoint="\/srv\/tftp"\} 2$/m,
    "opens are counted for the whole mount",
  );
  await mount.hydrated;
  t.match(mount.status(), { hydrated: true, hydration: { files: 4, filesDone: 4 }, readers: { opens: 2 } });
  t.equal(canister.asked.chunks, 3, "chunks that the channels share are fetched once");

  const old = open(root, inodeOf("stable/version"));
  root.retain(inodeOf("stable/version"));
  const same = inodeOf("stable/same");
  for (const number of [3, 1]) {
    canister.promote("stable", number);
    await looked();
    await shows({ canary: 2, stable: number });
  }
  const { manifests } = canister.asked;
  canister.promote("stable", 2);
  await looked();
  await shows({ canary: 2, stable: 2 });
  t.equal(
    canister.asked.manifests,
    manifests,
    "a release that another channel already serves needs no new manifest",
  );
  t.equal(inodeOf("stable/same"), same);
  t.not(inodeOf("canary/same"), same);
  t.equal(await read(old), versionOf(1), "a file opened earlier keeps its old content");
  t.equal(canister.asked.heads, 4);
  t.same(
    logged.filter((line) => /^(warn|error)/.test(line)),
    [],
  );
  t.ok(logged.some((line) => /^info stable: release 3 is live/.test(line)));
});

t.test("each directory waits for quiet on its own", async (t) => {
  const host = await newHost(t);
  const { canister } = host;
  const { mount, root, inodeOf, shown, shows, looked } = await mounted(t, host, { quiet: 20 });
  await mount.hydrated;
  const handle = open(root, inodeOf("stable/same"));
  canister.promote("stable", 3);
  canister.promote("canary", 3);
  await looked();
  await until("stable waits", () => mount.status().channels![1]!.next?.state === "waiting for quiet");
  await until("canary does not", () => shown().canary === 3);
  for (let i = 0; i < 10; i++) await sleep(20);
  t.same(shown(), { canary: 3, stable: 1 });
  root.release(handle);
  await shows({ canary: 3, stable: 3 });
});

t.test("a directory does not switch between a lookup and the open", async (t) => {
  const host = await newHost(t);
  const { canister } = host;
  const { mount, root, inodeOf, read, shown, shows, looked } = await mounted(t, host, { quiet: 1 });
  await mount.hydrated;
  const { switchTo } = LiveRelease.prototype;
  let handle: number | undefined;
  LiveRelease.prototype.switchTo = async function (next, switched, may) {
    let inode = 0;
    const isDone = await switchTo.call(this, next, switched, () => {
      inode = inodeOf("stable/version");
      root.retain(inode);
      return may();
    });
    handle ??= open(root, inode);
    return isDone;
  };
  t.teardown(() => {
    LiveRelease.prototype.switchTo = switchTo;
  });
  canister.promote("stable", 3);
  await looked();
  await until("it was about to switch", () => handle !== undefined);
  t.same(shown(), { canary: 2, stable: 1 });
  t.equal(await read(handle!), versionOf(1));
  LiveRelease.prototype.switchTo = switchTo;
  root.release(handle!);
  await shows({ canary: 2, stable: 3 });
});

t.test("a new channel appears, and a deleted one disappears once nobody has a file open", async (t) => {
  const host = await newHost(t);
  const { canister } = host;
  const { mount, root, inodeOf, read, names, shows, looked, logged } = await mounted(t, host, { quiet: 20 });
  canister.promote("beta", 3);
  await looked();
  await shows({ beta: 3, canary: 2, stable: 1 });
  await until("it is said", () => logged.includes("info channel beta is here: release 3"));
  await until("it is here", () => mount.status().hydrated);

  const directory = inodeOf("canary");
  const file = inodeOf("canary/version");
  root.retain(directory);
  root.retain(file);
  const handle = open(root, file);
  canister.promote("canary", undefined);
  await looked();
  for (let i = 0; i < 5; i++) await sleep(20);
  await looked();
  t.same(names(), ["beta", "canary", "stable"], "a deleted channel stays while one of its files is open");
  const canary = { channel: "canary", release: 2, problem: undefined };
  t.match(
    mount.status().channels,
    exactly({ channelDeleted: undefined }, { ...canary, channelDeleted: true }, {}),
  );
  canister.promote("canary", 1);
  await looked();
  t.match(mount.status().channels![1], { channelDeleted: undefined });
  root.release(handle);
  await shows({ beta: 3, canary: 1, stable: 1 });
  t.equal(
    inodeOf("canary"),
    directory,
    "the directory of a channel that returns in time keeps its inode number",
  );

  const other = open(root, inodeOf("canary/version"));
  root.release(other);
  const last = inodeOf("canary/version");
  root.retain(last);
  canister.promote("canary", undefined);
  await looked();
  await shows({ beta: 3, stable: 1 });
  await until("it is said", () => logged.at(-1) === "info channel canary was deleted: its directory is gone");
  t.throws(() => inodeOf("canary"), /ENOENT/);
  t.same(root.readdir(directory), [], "the deleted channel's directory is empty");
  const late = open(root, last);
  t.equal(
    await read(late),
    versionOf(1),
    "a file of the deleted channel that is still referenced can be read",
  );
  root.release(late);
  canister.promote("canary", 2);
  await looked();
  await shows({ beta: 3, canary: 2, stable: 1 });
  t.not(inodeOf("canary"), directory);
});

t.test(
  "a deleted channel's directory stays if it is used or recreated just before its removal",
  async (t) => {
    const host = await newHost(t);
    const { canister } = host;
    const { mount, root, inodeOf, names, shows, looked, logged } = await mounted(t, host, { quiet: 20 });
    await mount.hydrated;
    const directory = inodeOf("canary");
    const { takeAway } = LiveRelease.prototype;
    const outcomes: string[] = [];
    let before = async () => {};
    LiveRelease.prototype.takeAway = async function (...given) {
      await before();
      const outcome = await takeAway.apply(this, given);
      outcomes.push(outcome);
      return outcome;
    };
    t.teardown(() => {
      LiveRelease.prototype.takeAway = takeAway;
    });
    let handle: number | undefined;
    before = async () => {
      handle ??= open(root, inodeOf("canary/version"));
    };
    canister.promote("canary", undefined);
    await looked();
    await until("it was about to go", () => outcomes.length > 0);
    for (let i = 0; i < 5; i++) await sleep(20);
    t.same(names(), ["canary", "stable"]);
    t.same(outcomes, ["not now"], "it waits for quiet again");
    before = () => {
      canister.promote("canary", 1);
      return looked();
    };
    root.release(handle!);
    await until("it was about to go again", () => outcomes.length > 1);
    await shows({ canary: 1, stable: 1 });
    t.same(outcomes, ["not now", "not now"]);
    t.notOk(logged.some((line) => /is gone/.test(line)));
    t.equal(inodeOf("canary"), directory, "it never went");
  },
);

t.test("a removed channel's tree is freed", async (t) => {
  const host = await newHost(t);
  const { canister } = host;
  const { mount, shows, looked, logged } = await mounted(t, host);
  const isHydrated = () => until("it is here", () => mount.status().hydrated);
  canister.promote("beta", 3);
  await looked();
  await shows({ beta: 3, canary: 2, stable: 1 });
  await isHydrated();
  canister.promote("beta", undefined);
  await looked();
  await until("it is gone", () => logged.includes("info channel beta was deleted: its directory is gone"));
  // A tree that is still in memory is not asked for again.
  const { manifests } = canister.asked;
  for (let i = 0; i < 20; i++) {
    await sleep(5);
    collectGarbage();
  }
  canister.promote("beta", 3);
  await looked();
  await shows({ beta: 3, canary: 2, stable: 1 });
  t.equal(canister.asked.manifests, manifests + 1);
});

t.test("without the network, kept releases are served, and the newest when it is back", async (t) => {
  const host = await newHost(t);
  const { canister } = host;
  const before = await mounted(t, host);
  await before.mount.hydrated;
  await before.end();
  canister.promote("stable", 3);
  canister.promote("beta", 2);
  const { chunks } = canister.asked;
  canister.failure = new Error("no answer");
  const { mount, shows, looked, logged } = await mounted(t, host);
  await shows({ canary: 2, stable: 1 });
  t.match(mount.describe(), {
    warning: /^canary: serves what was kept on this host, certified .* ago: no answer; stable: /,
  });
  const warning = /serves what was kept on this host/;
  const problem = { problem: "no answer", checkedAt: undefined, warning };
  t.match(mount.status(), { ...problem, channels: exactly(problem, problem) });
  await mount.hydrated;
  t.equal(mount.status().hydrated, true);
  t.equal(canister.asked.chunks, chunks);
  await looked();
  const goesOn =
    /cannot ask for the newest release: no answer; goes on with canary \(release 2\), stable \(release 1\)/;
  t.equal(logged.filter((line) => goesOn.test(line)).length, 1, "said once");
  canister.failure = undefined;
  await looked();
  await shows({ beta: 2, canary: 2, stable: 3 });
  t.match(mount.status(), {
    problem: undefined,
    checkedAt: String,
    warning: undefined,
    channels: exactly({}, { problem: undefined, warning: undefined }, { warning: undefined }),
  });
});

t.test("offline, channels that were never kept or are known to be deleted cannot be mounted", async (t) => {
  const host = await newHost(t);
  const { canister } = host;
  await t.rejects(mounted(t, host, { offline: true }), /nothing of .* is kept on this host/);
  canister.failure = new Error("no answer");
  await t.rejects(mounted(t, host), /no answer/);
  canister.failure = undefined;
  const before = await mounted(t, host);
  await before.mount.hydrated;
  canister.promote("stable", undefined);
  await before.looked();
  await before.shows({ canary: 2 });
  await before.end();
  const { heads } = canister.asked;
  const offline = await mounted(t, host, { offline: true });
  await offline.shows({ canary: 2 });
  offline.mount.refresh();
  t.equal(canister.asked.heads, heads);
});

t.test("an unreadable channel is left out and tried again, and it is an error if all are", async (t) => {
  const host = await newHost(t);
  const { canister } = host;
  canister.beforeManifest = async (number) => {
    if (number === 2) throw new Error("torn");
  };
  const { shows, looked, logged } = await mounted(t, host);
  await shows({ stable: 1 });
  t.match(logged.join("\n"), /warn channel canary cannot be shown: torn/);
  const said = () => logged.filter((line) => /channel canary cannot be shown/.test(line)).length;
  let tries = 0;
  const torn = (why: string) => async (number: number) => {
    tries += 1;
    if (number === 2) throw new Error(why);
  };
  const triedAgain = async (why: string) => {
    canister.beforeManifest = torn(why);
    for (let i = 0; i < 3; i++) {
      const before = tries;
      await looked();
      await until("it is tried again", () => tries > before);
    }
    await shows({ stable: 1 });
  };
  await triedAgain("torn");
  const first = said();
  t.ok(first <= 2, "it is said once by whoever opens the mount, and once by the mount");
  await triedAgain("torn");
  t.equal(said(), first);
  await triedAgain("worn");
  t.equal(said(), first + 1, "another reason is said as well");
  canister.promote("canary", undefined);
  await looked();
  canister.promote("canary", 2);
  await triedAgain("worn");
  t.equal(said(), first + 2, "and the same of a channel that was made again");
  canister.beforeManifest = async () => {};
  await looked();
  await shows({ canary: 2, stable: 1 });
  canister.beforeManifest = () => Promise.reject(new Error("torn"));
  const cache = await temporaryDirectory(t);
  await t.rejects(mounted(t, { canister, cache }), /torn/);
});

t.test("channels are opened at the same time, and a missing tree delays no other", async (t) => {
  const host = await newHost(t);
  const { canister } = host;
  const before = await mounted(t, host);
  await before.mount.hydrated;
  await before.end();
  canister.publish(4);
  canister.promote("stable", 3);
  canister.promote("canary", 4);
  const asked: number[] = [];
  const bothAsked = Promise.withResolvers<void>();
  canister.beforeManifest = async (number) => {
    if (number < 3) return;
    asked.push(number);
    if (asked.length > 1) bothAsked.resolve();
    await bothAsked.promise;
    throw new Error("torn");
  };
  const { mount, shows } = await mounted(t, host);
  t.same(asked.slice(0, 2).sort(), [3, 4]);
  t.match(mount.describe(), { warning: /^canary: .*torn.*; stable: .*torn/ });
  await shows({ canary: 2, stable: 1 });
});

t.test("a canister without channels gives an empty directory and advice", async (t) => {
  const host = { ...(await newHost(t)), canister: madeUpChannels() };
  const { mount, names, shows, looked, logged } = await mounted(t, host);
  t.same(names(), []);
  t.match(mount.describe(), { files: 0, channels: exactly(), warning: /has no channel yet.*`icfs promote/ });
  t.match(logged.join("\n"), /warn .* has no channel yet/);
  t.match(mount.status(), {
    hydrated: true,
    verified: "certified",
    proofAge: Number,
    certifiedAt: /^\d{4}-/,
  });
  t.ok(mount.status().proofAge < 3600);
  await looked();
  t.match(mount.status(), { warning: /has no channel yet/ });
  host.canister.promote("stable", 1);
  await looked();
  await shows({ stable: 1 });
  t.equal(mount.status().warning, undefined);
});

// A release takes six blocks, with the directories of its two chunks. Both releases together take eight.
t.test("the cache must have room for all channels", async (t) => {
  const host = await newHost(t);
  const small = await mounted(t, host, {}, 7 * BLOCK);
  await small.mount.hydrated;
  t.equal(small.mount.status().hydrated, false);
  t.match(small.logged.join("\n"), /does not fit the cache/);
  await small.end();
  const cache = await temporaryDirectory(t);
  const { mount } = await mounted(t, { ...host, cache }, {}, 8 * BLOCK);
  await mount.hydrated;
  t.equal(mount.status().hydrated, true);
});
