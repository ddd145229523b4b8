/**
 * Hosts that ask an `icfs serve` for chunks which it is still fetching. Requests wait for as long as the test wants, so that nothing
 * depends on the speed of this machine; and the network gives out chunks only when the test lets it.
 */
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import t, { type Test } from "tap";
import { openDiskStore } from "../../../lib/cache/disk-store.ts";
import { resolveNetwork } from "../../../lib/ic/network.ts";
import { openFirst } from "../../../lib/live/first-release.ts";
import { openKnown } from "../../../lib/live/open-known.ts";
import { CacheHost } from "../../../lib/serve/host/cache-host.ts";
import { listenForSite, SITE } from "../../../lib/serve/server.ts";
import { Waits } from "../../../lib/serve/waits.ts";
import { eventually } from "../../mount/mounts.ts";
import { HUNG } from "../../support/icfs.ts";
import { inOrder } from "../../support/in-order.ts";
import { startMountable } from "../../support/mountable.ts";

t.setTimeout(10 * HUNG);
const step = inOrder(t);

const MiB = 1024 * 1024;
const HOSTS = 3;
const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const log = { debug() {}, info() {}, warn() {}, error() {} };
const c = await startMountable(t);

/** How often the network has given out each chunk. It gives out none while it is held. */
const given = new Map<string, number>();
let isHeld = true;
c.proxy.fault = (_, body) => {
  const hash = [...given.keys()].find((one) => body.includes(Buffer.from(one, "hex")));
  if (hash === undefined) return "none";
  if (isHeld) return "silence";
  given.set(hash, given.get(hash)! + 1);
  return "none";
};

/** Publishes a large file, while the network gives out none of it. @returns its chunks' hashes */
async function publishHeld(): Promise<string[]> {
  const large = randomBytes(5 * MiB + 5);
  await c.publish({ large });
  isHeld = true;
  const hashes = Array.from({ length: 6 }, (_, i) => sha(large.subarray(i * MiB, (i + 1) * MiB)));
  for (const hash of hashes) given.set(hash, 0);
  return hashes;
}

function giveOut(): void {
  isHeld = false;
  c.proxy.hangUp();
}

const waits = new Waits({ most: 100, limit: HUNG });
let host: CacheHost | undefined;
const server = await listenForSite({ host: "127.0.0.1", port: 0 }, "--listen", () => host?.site, log, waits);

/** Asks for all chunks, like so many hosts. @returns their answers, when they have come */
function askForAll(hashes: readonly string[]): Promise<{ status: number; hash: string }[]> {
  const all = Array.from({ length: HOSTS }, () => hashes).flat();
  return Promise.all(
    all.map(async (hash) => {
      const answer = await fetch(`${server.url}/.icfs/chunk/${hash}`);
      return { status: answer.status, hash: sha(Buffer.from(await answer.arrayBuffer())) };
    }),
  );
}

const gotten = (hashes: readonly string[]) =>
  Array.from({ length: HOSTS }, () => hashes.map((hash) => ({ status: 200, hash }))).flat();

async function open(t: Test): Promise<CacheHost> {
  const store = openDiskStore(join(c.directory, "cache"), 1024 * MiB, log);
  t.teardown(() => store.close());
  const { rootKey, canister } = c;
  const address = { canister, rootKey, network: resolveNetwork(c.proxy.url) };
  const options = {
    source: undefined,
    trust: "query" as const,
    store,
    memory: 64 * MiB,
    readTimeout: 2 * HUNG,
    refresh: 0,
    quiet: 0,
    switchWithin: 0,
    maxStale: HUNG,
    offline: false,
    mirrors: undefined,
    statsFile: undefined,
    waits,
    log,
  };
  const source = await openKnown(address, options, () => undefined);
  const from = { address, source };
  const opened = new CacheHost(from, await openFirst(from, options), options);
  t.teardown(() => opened.end());
  return opened;
}

step(
  "hosts that ask early wait for the first release, and the network gives each chunk once",
  async (test) => {
    const hashes = await publishHeld();
    const proof = fetch(`${server.url}/.icfs/release`);
    const answers = askForAll(hashes);
    await eventually("all wait for it to know the release", () => waits.count === 6 * HOSTS + 1);
    host = await open(t);
    host.follow();
    waits.came(SITE);
    test.equal((await proof).status, 200, "the release's proof is served before its chunks arrive");
    await eventually("all wait for chunks", () => hashes.every((hash) => waits.has(hash)));
    const another = await fetch(`${server.url}/.icfs/chunk/${sha(Buffer.from("another"))}`);
    test.same([another.status, another.headers.get("retry-after")], [404, null]);
    const gone = new AbortController();
    const leaving = fetch(`${server.url}/.icfs/chunk/${hashes[0]}`, { signal: gone.signal });
    await eventually("one more waits", () => waits.count === 6 * HOSTS + 1);
    gone.abort();
    await test.rejects(leaving);
    await eventually("and has gone", () => waits.count === 6 * HOSTS);
    giveOut();
    test.same(await answers, gotten(hashes));
    await host.ready();
    test.same(
      [...given.values()],
      hashes.map(() => 1),
    );
  },
);

step("hosts wait for the next release too, and the network gives each chunk once", async (t) => {
  const hashes = await publishHeld();
  host!.refresh();
  await eventually("it is being fetched", () => host!.status(server.status()).next?.state === "hydrating");
  const answers = askForAll(hashes);
  await eventually("all wait", () => waits.count === 6 * HOSTS);
  giveOut();
  t.same(await answers, gotten(hashes));
  await eventually("it is live", () => host!.status(server.status()).release === 2);
  t.same(
    [...given.values()],
    [...given.keys()].map(() => 1),
  );
});

step("when the server closes, all waiting requests are answered", async (t) => {
  const hashes = await publishHeld();
  host!.refresh();
  await eventually("it is being fetched", () => host!.status(server.status()).next?.state === "hydrating");
  const answers = askForAll(hashes);
  const one = fetch(`${server.url}/.icfs/chunk/${hashes[0]}`);
  await eventually("all wait", () => waits.count === 6 * HOSTS + 1);
  await server.close();
  t.equal((await one).headers.get("retry-after"), "1", "the server says that the chunk is on its way");
  t.ok((await answers).every(({ status }) => status === 404));
  giveOut();
  await eventually("it is live", () => host!.status(server.status()).release === 3);
});
