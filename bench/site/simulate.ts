/**
 * Simulates sites in a process of its own: `node bench/site/simulate.ts SCENARIO...`, each a Scenario in JSON. Prints an Outcome
 * in JSON for each, one per line.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { verifySignature } from "../../lib/ic/certificate/bls.ts";
import type { BlsVerify } from "../../lib/ic/certificate/valid-signatures.ts";
import { Host } from "./host.ts";
import { makeRelease } from "./release.ts";
import { Ic, Nginx, ServingHost } from "./servers.ts";
import { installRandom, VirtualTime } from "./virtual-time.ts";
import { Line, Wire } from "./wire.ts";

const MIB = 1024 * 1024;
/** The network cards of hosts, and of those that serve. */
const HOST_MBIT = 1000;
const TOP_MBIT = 10_000;
/** Hosts per server of the second level. */
const HOSTS_A_BRANCH = 100;
const LEAST_BRANCHES = 2;
const IC = "ic.example";
const GATEWAY = "canister.example";

/** How hosts get chunks: each from the IC; from nginx in front of it; from `icfs serve`, in two levels. */
export type Way = "none" | "nginx" | "serve";

export interface Scenario {
  readonly way: Way;
  readonly hosts: number;
  readonly mebibytes: number;
  /** How many bytes one byte represents, to speed up the simulation (release.ts). */
  readonly scale: number;
  /** Seconds within which all hosts start. */
  readonly spread: number;
  /** Megabits per second of the site's line. */
  readonly uplink: number;
  /** Milliseconds of a round trip to the IC. */
  readonly roundTrip: number;
  /** Requests per second that the IC accepts from the site. */
  readonly limit?: number;
  /** Whether nginx is killed when hosts have half of what they need. */
  readonly isKilled?: boolean;
  /** Whether servers have the whole release before the first host starts. */
  readonly isWarm?: boolean;
  /** Minutes for which hosts then check for newer releases. */
  readonly follow: number;
  readonly seed: number;
}

export interface Outcome {
  readonly scenario: Scenario;
  /** Of the release. */
  readonly chunks: number;
  readonly mebibytes: number;
  /** Requests to the IC until all hosts were ready. */
  readonly ic: {
    readonly questions: number;
    /** Those made by hosts themselves rather than by a cache. */
    readonly byHosts: number;
    readonly heads: number;
    readonly chunks: number;
    readonly refused: number;
    readonly mebibytes: number;
  };
  /** Seconds from the first host's start until the first, half, and all of them had the whole release. */
  readonly ready: { readonly first: number; readonly half: number; readonly all: number };
  /** Requests per minute to the IC for the newest release, once all hosts are ready. */
  readonly headsAMinute: number;
  /** Where hosts got their data from. */
  readonly byMirrors: number;
  readonly byIc: number;
  /** Requests for which hosts asked another source, because the answer did not begin in time. */
  readonly late: number;
  /** What was logged as wrong, without numbers, and how often. */
  readonly problems: Readonly<Record<string, number>>;
  /** The duration in real seconds. */
  readonly seconds: number;
}

/** Verifies each signature once, and remembers it. */
function remembering(): BlsVerify {
  const known = new Map<string, boolean>();
  return async (publicKey, signature, message) => {
    const key = [publicKey, signature, message].map((part) => Buffer.from(part).toString("hex")).join();
    let isValid = known.get(key);
    if (isValid === undefined) {
      isValid = verifySignature(publicKey, signature, message);
      known.set(key, isValid);
    }
    return isValid;
  };
}

async function simulate(scenario: Scenario, time: VirtualTime): Promise<Outcome> {
  const started = process.hrtime.bigint();
  installRandom(scenario.seed);
  const release = makeRelease(scenario.mebibytes, scenario.scale);
  const wire = new Wire(time);
  wire.install();
  const uplink = new Line(scenario.uplink);
  const ic = new Ic(time, release, uplink, scenario.roundTrip, scenario.limit);
  wire.addServer(IC, ic);
  wire.addServer(GATEWAY, ic);
  const blsVerify = remembering();
  const nginx = new Nginx(time, wire, ic);
  wire.addServer("nginx", nginx);
  const all = scenario.hosts * release.chunks.size;
  let had = 0;
  const progress = () => {
    had += 1;
    if (scenario.isKilled && had === Math.floor(all / 2)) nginx.dies();
  };
  const newHost = (mbit: number, progress: () => void, mirrors: readonly string[], server?: string) => {
    const host = new Host({ time, release, shared: release.chunks, blsVerify, mbit, progress });
    if (server !== undefined) wire.addServer(server, new ServingHost(host, release, mbit));
    const port = wire.addClient(host);
    const urls = {
      network: `https://${IC}:${port}`,
      mirrors: mirrors.map((name) => `http://${name}:${port}`),
    };
    return { host, urls };
  };
  type Started = ReturnType<typeof newHost>;

  // The first host does not count: it loads modules and records accepted releases, which takes real time.
  const warm = newHost(HOST_MBIT, () => {}, []);
  await time.until(warm.host.hydrate(warm.urls), true);
  Object.assign(ic.asked, { release: 0, headers: 0, chunk: 0, queries: 0, refused: 0 });
  ic.bytesSent = 0;

  const serving: Started[] = [];
  const branches: string[] = [];
  if (scenario.way === "serve") {
    serving.push(newHost(TOP_MBIT, () => {}, [], "top"));
    const count = Math.max(LEAST_BRANCHES, Math.ceil(scenario.hosts / HOSTS_A_BRANCH));
    for (let i = 0; i < count; i++) {
      branches.push(`branch-${i}`);
      serving.push(newHost(HOST_MBIT, () => {}, ["top"], `branch-${i}`));
    }
  }
  const hosts = Array.from({ length: scenario.hosts }, (_, i) => {
    if (scenario.way === "none") return newHost(HOST_MBIT, progress, []);
    const mirror = scenario.way === "nginx" ? "nginx" : branches[i % branches.length]!;
    return newHost(HOST_MBIT, progress, [mirror]);
  });
  const run = ({ host, urls }: Started) => host.hydrate(urls);
  if (scenario.isWarm) for (const one of serving) await time.until(run(one));
  const start = time.now;
  const servers = scenario.isWarm ? [] : serving.map(run);
  const work = hosts.map(async (one) => {
    await time.sleep(Math.random() * scenario.spread * 1000);
    await run(one);
  });
  await time.until(Promise.all([...servers, ...work]));
  const { asked, bytesSent } = ic;
  const before = { ...asked, bytesSent };

  const until = time.now + scenario.follow * 60_000;
  await time.until(Promise.all([...serving, ...hosts].map(({ host }) => host.follow(until))));
  const ready = hosts.map(({ host }) => (host.readyAt! - start) / 1000).sort((a, b) => a - b);
  const health = hosts.flatMap(({ host }) => host.mirrors?.health() ?? []);
  const byMirrors = health.reduce((sum, { chunks }) => sum + chunks, 0);
  return {
    scenario,
    chunks: release.chunks.size,
    mebibytes: release.bytes / MIB,
    ic: {
      questions: before.release + before.headers + before.chunk,
      byHosts: before.queries,
      heads: before.release,
      chunks: before.chunk,
      refused: before.refused,
      mebibytes: before.bytesSent / MIB,
    },
    ready: { first: ready[0]!, half: ready[ready.length >> 1]!, all: ready.at(-1)! },
    headsAMinute: scenario.follow === 0 ? 0 : (asked.release - before.release) / scenario.follow,
    byMirrors,
    byIc: all - byMirrors,
    late: health.reduce((sum, { late }) => sum + late, 0),
    problems: countOf(hosts.flatMap(({ host }) => host.problems)),
    seconds: Number((process.hrtime.bigint() - started) / 1_000_000n) / 1000,
  };
}

function countOf(problems: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const problem of problems) {
    const kind = problem.replace(/[0-9a-f]{16,}/g, "#").replace(/\d+/g, "0");
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

const state = mkdtempSync(join(tmpdir(), "icfs-site-state-"));
process.env.XDG_STATE_HOME = state;
const time = new VirtualTime();
time.install();
try {
  for (const scenario of process.argv.slice(2)) {
    console.log(JSON.stringify(await simulate(JSON.parse(scenario) as Scenario, time)));
  }
} finally {
  rmSync(state, { recursive: true });
}
