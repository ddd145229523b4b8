/**
 * A site's cache that lies, or somebody between it and the hosts, or behind it; and caches that are of no use. Hosts get right bytes only, and
 * in time. (What each kind of wrong answer does to one reader is in test/source/icfs.)
 */
import type { ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import t from "tap";
import { NO_ARGUMENTS, queryBlob } from "../../lib/ic/agent.ts";
import { HUNG } from "../support/icfs.ts";
import { inOrder } from "../support/in-order.ts";
import { nginx } from "./engines.ts";
import type { HostResult } from "./hosts.ts";
import { type Meter, startMeter } from "./meter.ts";
import { allIsWell, chunksOf, FILES } from "./scenarios.ts";
import { startCachedSite } from "./site.ts";

t.setTimeout(15 * HUNG);
const step = inOrder(t);

const HOSTS = 20;
const CHUNKS = FILES.length + 1;
/** What is in a query for a chunk, in CBOR. */
const CHUNK_QUERY = `method_name${String.fromCharCode(0x60 + "chunk".length)}chunk`;

const site = await startCachedSite(t, { engine: nginx, files: FILES });
/** Between the hosts and the cache. */
const front = await startMeter(t, () => site.url);

/** Flips a bit of each so manieth chunk. @returns how many it was */
function lying(meter: Meter, oneIn: number): () => number {
  let chunks = 0;
  let lies = 0;
  meter.spoil = (path, bytes) => {
    if (!path.includes("/.icfs/chunk/") || ++chunks % oneIn !== 0) return bytes;
    lies += 1;
    bytes[bytes.length >> 1]! ^= 1;
    return bytes;
  };
  return () => lies;
}

/** How often chunks were asked for, of whomever. */
const fetches = () =>
  chunksOf(front.asked).length + site.asks.asked.filter(({ body }) => body.includes(CHUNK_QUERY)).length;

const sum = (results: readonly HostResult[], what: "wrong" | "late") =>
  results.reduce((all, { mirrors }) => all + mirrors.reduce((some, one) => some + one[what], 0), 0);

/** Answers that were late, at most: on a busy machine some are. How often the network was is not told; a host has some time or other for one. */
const overtaken = (results: readonly HostResult[]) => sum(results, "late") + results.length;

step("a tenth of the answers is wrong between cache and hosts", async (t) => {
  await site.startCache();
  const lies = lying(front, 10);
  const results = await site.storm(HOSTS, { mirrors: () => [front.url] });
  front.spoil = undefined;
  allIsWell(t, results);
  t.ok(lies() > 0, `${lies()} lies`);
  const most = HOSTS * CHUNKS + lies() + overtaken(results);
  t.ok(
    fetches() <= most,
    `${fetches()} fetches; one more for each lie, and for each that was late, are ${most}`,
  );
});

step("a fifth of the answers is wrong behind the cache, which keeps them", async (t) => {
  await site.killCache();
  await site.startCache();
  site.asks.asked.length = 0;
  front.asked.length = 0;
  const lies = lying(site.origin, 5);
  const results = await site.storm(HOSTS, { mirrors: () => [front.url] });
  site.origin.spoil = undefined;
  allIsWell(t, results);
  t.ok(lies() > 0, `${lies()} lies`);
  const wrong = sum(results, "wrong");
  t.ok(wrong >= lies(), `they were told ${wrong} times`);
  const most = HOSTS * CHUNKS + wrong + overtaken(results);
  t.ok(fetches() <= most, `${fetches()} fetches; one more for each time are ${most}`);
});

/** What the newest release is proved by now. It is too old to count when the clocks have been put forward. */
const OLD_PROOF = await queryBlob(site.publisherAgent, site.canister, "release", NO_ARGUMENTS);
const AHEAD_MS = 6 * 60_000;

/** Caches that are of no use, by the name that a mirror's URL has for them. */
const USELESS: Record<string, (response: ServerResponse, path: string) => void> = {
  stale: (response, path) =>
    path.endsWith("/.icfs/release") ? response.end(OLD_PROOF) : response.writeHead(404).end(),
  busy: (response) => response.writeHead(503).end(),
  "busy-for-a-year": (response) => response.writeHead(503, { "retry-after": "31536000" }).end(),
  "without-an-origin": (response) => response.writeHead(502).end(),
  page: (response) =>
    response.writeHead(200, { "content-type": "text/html" }).end("<html><title>Log in</title></html>"),
  elsewhere: (response) => response.writeHead(302, { location: "/elsewhere/.icfs/release" }).end(),
  endless: (response) => {
    response.writeHead(200, { "content-length": 2 ** 50 });
    const timer = setInterval(() => response.write(Buffer.alloc(100_000)), 10);
    response.on("close", () => clearInterval(timer));
  },
  packed: (response) =>
    response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(Buffer.alloc(1_000_000))),
  half: (response) => {
    response.writeHead(200, { "content-length": 400_000 });
    response.write(Buffer.alloc(1000), () => response.destroy());
  },
  drip: (response) => {
    response.writeHead(200, { "content-length": 400_000 });
    const timer = setInterval(() => response.write(Buffer.alloc(1)), 100);
    response.on("close", () => clearInterval(timer));
  },
  silence: () => {},
};

step("caches that are of no use cost nobody a deadline", async (t) => {
  const names = Object.keys(USELESS);
  front.instead = (path, response) => {
    USELESS[path.split("/")[1]!]!(response, path);
    return true;
  };
  // The network is in this process.
  const [{ now: clock }, { now: date }] = [performance, Date];
  performance.now = () => clock.call(performance) + AHEAD_MS;
  Date.now = () => date() + AHEAD_MS;
  t.teardown(() => {
    performance.now = clock;
    Date.now = date;
  });
  const results = await site.storm(names.length, {
    ahead: AHEAD_MS,
    mirrors: (host) => [`${front.url}/${names[host]}`],
    // What comes in drips has half of it.
    readTimeout: 20_000,
  });
  allIsWell(t, results);
  t.equal(
    results[names.indexOf("stale")]!.mirrors[0]!.answers,
    1,
    "an old proof says what it is of, and no more",
  );
  for (const [i, { mirrors, slowest }] of results.entries()) {
    const [{ chunks, failures, limited, late, wrong, missing }] = mirrors as [HostResult["mirrors"][0]];
    t.equal(chunks, 0, `${names[i]}: slowest chunk ${Math.round(slowest)} ms`);
    t.ok(failures + limited + late + wrong + missing > 0, "it is known to be of no use");
  }
});
