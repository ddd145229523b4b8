/** A site's cache at work, whatever its engine: forty hosts start together, with nothing on their disks. */
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import type { Test } from "tap";
import { mountpointFor } from "../mount/mounts.ts";
import { startServe } from "../serve/serves.ts";
import { HUNG } from "../support/icfs.ts";
import { inOrder } from "../support/in-order.ts";
import type { Engine } from "./engines.ts";
import type { HostResult } from "./hosts.ts";
import type { Asked } from "./meter.ts";
import { type Site, startCachedSite } from "./site.ts";

const HOSTS = 40;
/** How many of the hosts are real mounts. */
const MOUNTS = 4;
/** Each file is a chunk. The manifest is one more. */
export const FILES = Array.from({ length: 16 }, (_, i) => 400_000 + i);
const CHUNKS = FILES.length + 1;
const BYTES = FILES.reduce((sum, size) => sum + size, 0);
/** The bandwidth from the site to the network, in MiB a second. */
const BANDWIDTH = 4;
/** Milliseconds for which the proof of the newest release is kept. */
const HEAD_KEPT_MS = 10_000;

/** @returns the site, whose cache is not running, for further tests of the cache */
export async function cacheOfASite(t: Test, engine: Engine): Promise<Site> {
  const step = inOrder(t);
  const site = await startCachedSite(t, { engine, files: FILES });

  step("with forty cold hosts and a cold cache, the origin is asked for each chunk once", async (t) => {
    await site.startCache();
    site.line.bandwidth = BANDWIDTH;
    const started = performance.now();
    const [results, ...mounts] = await Promise.all([
      site.storm(HOSTS - MOUNTS),
      ...Array.from({ length: MOUNTS }, (_, i) => mounted(t, site, i)),
    ]);
    allIsWell(t, results);
    const chunks = chunksOf(site.origin.asked);
    t.equal(chunks.length, CHUNKS, "the cache asks for as many chunks as the release has");
    t.equal(new Set(chunks).size, CHUNKS, "the cache asks for no chunk twice");
    fewHeads(t, site.origin.asked, started);
    t.ok(headsOf(site.origin.asked) > 0, "the cache has asked for the newest release");
    for (const mountpoint of mounts) t.ok(await site.same(mountpoint), mountpoint);
    const link = (BYTES / (BANDWIDTH * 1024 * 1024)) * 1000;
    const took = Math.max(...results.map(({ took }) => took));
    t.comment(
      `all in ${Math.round(took)} ms: ${(took / link).toFixed(2)} times what the line takes; the network itself was asked ${site.asks.asked.length} times`,
    );
  });

  step("a URL's cached answer is not used for another that normalises to the same", async (t) => {
    for (const [other, url] of [
      ["/x/../file-0", "/file-0"],
      ["/x/%2e%2e/.icfs/release", "/.icfs/release"],
      ["/.icfs/at/../headers/1", "/.icfs/headers/1"],
      ["/file-1%3Fx", "/file-1?x"],
    ] as const) {
      t.equal(await statusOf(site.url, other), 404, other);
      t.equal(await statusOf(site.url, url), 200, url);
    }
  });

  step("a second storm asks the origin only which release is the newest", async (t) => {
    site.line.bandwidth = Number.POSITIVE_INFINITY;
    site.origin.asked.length = 0;
    const started = performance.now();
    allIsWell(t, await site.storm(HOSTS));
    t.same(chunksOf(site.origin.asked), []);
    fewHeads(t, site.origin.asked, started);
  });

  step("without the origin, hosts get everything, and the cache brings kept chunks", async (t) => {
    site.origin.down = true;
    const results = await site.storm(HOSTS);
    allIsWell(t, results);
    t.ok(brought(results) > 0, "the cache delivers chunks");
    t.comment(`the cache has brought ${brought(results)} of ${HOSTS * CHUNKS} chunks`);
    site.origin.down = false;
  });

  step("when the cache is killed halfway, all hosts get the rest from the network", async (t) => {
    await site.killCache();
    await site.startCache();
    site.line.bandwidth = BANDWIDTH;
    site.origin.asked.length = 0;
    let killed: Promise<void> | undefined;
    site.origin.instead = () => {
      if (chunksOf(site.origin.asked).length > CHUNKS / 2) killed ??= site.killCache();
      return false;
    };
    const before = site.asks.asked.length;
    // Over this line, more hosts at once would take a minute, since each asks for everything.
    const results = await site.storm(HOSTS / 4);
    await killed;
    t.ok(killed, "the cache was killed during the storm");
    allIsWell(t, results);
    t.ok(site.asks.asked.length > before, "hosts ask the network");
    site.origin.instead = () => false;
  });
  return site;
}

/** Forty cold hosts, a cold cache, and behind it an `icfs serve` that has not fetched the release yet. */
export async function behindServe(t: Test, site: Site): Promise<void> {
  const { url } = await startServe(t, site);
  site.behind = url;
  await site.startCache();
  site.origin.asked.length = 0;
  const started = performance.now();
  allIsWell(t, await site.storm(HOSTS));
  const chunks = chunksOf(site.origin.asked);
  t.equal(new Set(chunks).size, CHUNKS, "the cache has asked for all chunks");
  t.equal(chunks.length, CHUNKS, "each once");
  fewHeads(t, site.origin.asked, started);
  t.ok(headsOf(site.origin.asked) > 0, "the cache has asked for the newest release");
}

/** @param path is sent unchanged */
async function statusOf(url: string, path: string): Promise<number | undefined> {
  const asked = get(url, { path, agent: false });
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  answer.resume();
  return answer.statusCode;
}

/** @returns the mountpoint */
async function mounted(t: Test, site: Site, number: number): Promise<string> {
  const mountpoint = await mountpointFor(t);
  const { code, stderr } = await site.icfs(
    [
      ...["mount", site.id, mountpoint, "--network", site.asks.url, "--mirror", site.url],
      ...["--root-key", Buffer.from(site.rootKey).toString("hex")],
      ...["--prefetch", "all", "--read-timeout", "300s"],
      ...["--cache-dir", join(site.directory, `mount-${number}`), "--log-file", join(site.directory, "log")],
    ],
    { limit: 3 * HUNG },
  );
  if (code !== 0) throw new Error(`icfs mount: ${code} ${stderr}`);
  return mountpoint;
}

/** Each host has the release without a wrong byte, and none has waited for something that did not come. */
export function allIsWell(t: Test, results: readonly HostResult[]): void {
  const bad = results.filter(
    ({ error, wrong, missed, bytes }) => error !== undefined || wrong > 0 || missed > 0 || bytes < BYTES,
  );
  t.same(bad, [], `all ${results.length} hosts have the whole release`);
}

function brought(results: readonly HostResult[]): number {
  return results.reduce((sum, { mirrors }) => sum + mirrors[0]!.chunks, 0);
}

export function chunksOf(asked: readonly Asked[]): string[] {
  return asked.map(({ path }) => path).filter((path) => path.includes("/.icfs/chunk/"));
}

/** @param started a time of performance.now() before the first request */
function fewHeads(t: Test, asked: readonly Asked[], started: number): void {
  const heads = headsOf(asked);
  // The storm need not begin and end with such a period: it may touch one more.
  const most = Math.ceil((performance.now() - started) / HEAD_KEPT_MS) + 1;
  t.ok(heads <= most, `the newest release is asked for ${heads} times, of ${most} allowed`);
}

function headsOf(asked: readonly Asked[]): number {
  return asked.filter(({ path }) => path.endsWith("/.icfs/release")).length;
}
