/**
 * A site's cache that lies, or an attacker between it and the hosts, or behind it; and caches that are useless. Hosts get only right bytes,
 * and in time. (test/source/icfs has each kind of wrong answer to one reader.)
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

t.setTimeout(30 * HUNG);
const step = inOrder(t);

const HOSTS = 20;
const CHUNKS = FILES.length + 1;
/** The part of a query's CBOR that asks for a chunk. */
const CHUNK_QUERY = `method_name${String.fromCharCode(0x60 + "chunk".length)}chunk`;

const site = await startCachedSite(t, { engine: nginx, files: FILES });
/** Between the hosts and the cache. */
const front = await startMeter(t, () => site.url);

/** Flips a bit in one of every `oneIn` chunks. @returns a function that says how many it spoiled */
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

/** How often chunks were asked for, in either place. */
const fetches = () =>
  chunksOf(front.asked).length + site.asks.asked.filter(({ body }) => body.includes(CHUNK_QUERY)).length;

const sum = (results: readonly HostResult[], what: "wrong" | "late") =>
  results.reduce((all, { mirrors }) => all + mirrors.reduce((some, one) => some + one[what], 0), 0);

/** The most answers that may be late: on a busy machine some are. Hosts do not count late answers of the network: each may have one. */
const overtaken = (results: readonly HostResult[]) => sum(results, "late") + results.length;

step("hosts get everything when a tenth of the answers is altered between cache and hosts", async (t) => {
  await site.startCache();
  const lies = lying(front, 10);
  const results = await site.storm(HOSTS, { mirrors: () => [front.url] });
  front.spoil = undefined;
  allIsWell(t, results);
  t.ok(lies() > 0, `${lies()} altered answers`);
  const most = HOSTS * CHUNKS + lies() + overtaken(results);
  t.ok(fetches() <= most, `${fetches()} fetches of at most ${most}: one extra per altered or late answer`);
});

step(
  "hosts get everything when a fifth of the answers is altered behind the cache, which keeps them",
  async (t) => {
    await site.killCache();
    await site.startCache();
    site.asks.asked.length = 0;
    front.asked.length = 0;
    const lies = lying(site.origin, 5);
    const results = await site.storm(HOSTS, { mirrors: () => [front.url] });
    site.origin.spoil = undefined;
    allIsWell(t, results);
    t.ok(lies() > 0, `${lies()} altered answers`);
    const wrong = sum(results, "wrong");
    t.ok(wrong >= lies(), `hosts noticed ${wrong} wrong answers`);
    const most = HOSTS * CHUNKS + wrong + overtaken(results);
    t.ok(fetches() <= most, `${fetches()} fetches of at most ${most}: one extra per wrong or late answer`);
  },
);

/** The proof of the newest release. When the clocks have been put forward, it is too old to count. */
const OLD_PROOF = await queryBlob(site.publisherAgent, site.canister, "release", NO_ARGUMENTS);
const AHEAD_MS = 6 * 60_000;

/** Useless caches, by their names in the mirrors' URLs. */
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

step("useless caches make no host miss a deadline", async (t) => {
  const names = Object.keys(USELESS);
  front.instead = (path, response) => {
    USELESS[path.split("/")[1]!]!(response, path);
    return true;
  };
  // The network runs in this process.
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
    // An answer in drips may take half of this time, and the network has the other half for an answer that takes a second.
    readTimeout: 60_000,
  });
  allIsWell(t, results);
  t.equal(
    results[names.indexOf("stale")]!.mirrors[0]!.answers,
    1,
    "only the old proof itself counts as an answer",
  );
  for (const [i, { mirrors, slowest }] of results.entries()) {
    const [{ chunks, failures, limited, late, wrong, missing }] = mirrors as [HostResult["mirrors"][0]];
    t.equal(chunks, 0, `${names[i]}: slowest chunk ${Math.round(slowest)} ms`);
    t.ok(failures + limited + late + wrong + missing > 0, "the cache's failure is counted");
  }
});
