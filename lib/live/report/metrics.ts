/**
 * A mount's metrics for Prometheus: GET /metrics. They are made from MountStatus on request; nothing is counted here. They
 * contain no file names, since anybody who can reach the address can ask.
 *
 * Loaded only by mounts with --metrics. The process metrics of prom-client are left out: they check the event loop every 10 ms,
 * even if nobody asks.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Counter, Gauge, Registry } from "prom-client";
import { createBoundedServer, type ListenAddress, listenAt } from "../../bounded-server.ts";
import { messageOf } from "../../errors.ts";
import type { GatewayHealth } from "../../ic/gateway/gateway.ts";
import type { Log } from "../../log.ts";
import type { MirrorHealth } from "../../source/icfs/mirrors.ts";
import type { AnyStatus, ReleaseStatus } from "./status.ts";

/** Name, meaning, value; undefined where there is none. Names that end in _total are counters, all others gauges. */
type Metrics<T> = readonly [name: string, help: string, value: (status: T) => number | undefined][];

/** For each served release: a mount of all channels has one for each channel. */
const RELEASE_METRICS: Metrics<ReleaseStatus> = [
  ["icfs_release", "The release that new readers get.", (s) => s.release],
  [
    "icfs_channel_serial",
    "The serial of the channel's record that says which release it stands for.",
    (s) => s.serial,
  ],
  ["icfs_release_files", "Files of the release.", (s) => s.files],
  ["icfs_release_bytes", "Bytes of all files of the release.", (s) => s.bytes],
  ["icfs_proof_age_seconds", "Since the release, or one that follows it, was certified.", (s) => s.proofAge],
  [
    "icfs_release_check_failing",
    "1 when the last attempt to ask for the newest release failed.",
    (s) => Number(s.problem !== undefined),
  ],
  [
    "icfs_next_release_pending",
    "1 while a newer release is fetched, or waits to go live.",
    (s) => Number(s.next !== undefined),
  ],
  ["icfs_hydrated", "1 when all of the release can be read without the network.", (s) => Number(s.hydrated)],
  [
    "icfs_hydration_bytes",
    "Bytes of files that are fetched before they are asked for.",
    (s) => s.hydration?.bytes,
  ],
  [
    "icfs_hydration_done_bytes",
    "Those of icfs_hydration_bytes that are here, and were checked.",
    (s) => s.hydration?.bytesDone,
  ],
];

const METRICS: Metrics<AnyStatus> = [
  ["icfs_open_files", "Files that readers have open.", (s) => s.openFiles],
  ["icfs_opens_total", "Files that were opened.", (s) => s.readers?.opens],
  ["icfs_reads_total", "Reads that the kernel asked for.", (s) => s.readers?.reads],
  ["icfs_read_bytes_total", "Bytes given to the kernel.", (s) => s.readers?.bytes],
  ["icfs_read_errors_total", "Reads and opens that failed.", (s) => s.readers?.errors],
  ["icfs_serve_connections", "HTTP connections.", (s) => s.site?.connections],
  ["icfs_serve_chunks_total", "Chunks served to others.", (s) => s.site?.chunks],
  ["icfs_serve_files_total", "Files, or parts of them, served to others.", (s) => s.site?.files],
  ["icfs_serve_proofs_total", "Proofs of the release, and headers, served to others.", (s) => s.site?.proofs],
  ["icfs_serve_bytes_total", "Bytes of chunks and files served to others.", (s) => s.site?.bytes],
  [
    "icfs_serve_missing_total",
    "Requests for data that does not exist, or is not on this host.",
    (s) => s.site?.missing,
  ],
  [
    "icfs_serve_broken_total",
    "Answers broken off because a chunk was no longer on this host.",
    (s) => s.site?.broken,
  ],
  [
    "icfs_serve_cut_off_total",
    "Answers cut off to make room for others, because their clients did not read.",
    (s) => s.site?.cutOff,
  ],
  ["icfs_memory_used_bytes", "Verified chunks in memory.", (s) => s.cache.memoryUsed],
  ["icfs_memory_limit_bytes", "The most that verified chunks take in memory.", (s) => s.cache.memory],
  ["icfs_fetched_chunks_total", "Chunks that were fetched and verified.", (s) => s.cache.chunksVerified],
  ["icfs_fetched_bytes_total", "Bytes that were fetched and verified.", (s) => s.cache.bytesVerified],
  [
    "icfs_fetch_failures_total",
    "Attempts to fetch a chunk that got no answer, or one that did not verify.",
    (s) => s.cache.failures,
  ],
  ["icfs_fetches_under_way", "Chunks on their way from the network.", (s) => s.cache.underWay],
  [
    "icfs_breaker_open",
    "1 while reads of what is not in the cache fail at once, as the network does not answer.",
    (s) => Number(s.cache.failingSince !== undefined),
  ],
  ["icfs_disk_read_chunks_total", "Chunks read from the disk cache.", (s) => s.disk?.reads],
  ["icfs_disk_read_bytes_total", "Bytes read from the disk cache.", (s) => s.disk?.bytesRead],
  ["icfs_disk_written_chunks_total", "Chunks written to the disk cache.", (s) => s.disk?.writes],
  ["icfs_disk_written_bytes_total", "Bytes written to the disk cache.", (s) => s.disk?.bytesWritten],
  [
    "icfs_disk_corrupt_chunks_total",
    "Chunks in the disk cache that were damaged, and fetched again.",
    (s) => s.disk?.corrupt,
  ],
  ["icfs_disk_capacity_bytes", "The most that chunks take in the disk cache.", (s) => s.disk?.capacity],
  ["icfs_disk_used_bytes", "What they take, in blocks of the file system.", (s) => s.disk?.used],
  [
    "icfs_disk_problem",
    "1 while the disk cache cannot be written to.",
    (s) => s.disk && Number(s.disk.problem !== undefined),
  ],
  ["process_resident_memory_bytes", "Memory of the process.", () => process.memoryUsage.rss()],
  ["process_cpu_seconds_total", "Time that the process has spent on processors.", () => cpuSeconds()],
  [
    "process_start_time_seconds",
    "When the process began, in seconds since 1970.",
    () => performance.timeOrigin / 1000,
  ],
];

/** For each gateway of the network. */
const GATEWAY_METRICS: Metrics<GatewayHealth> = [
  ["icfs_gateway_answers_total", "Requests that the gateway has answered.", (g) => g.answers],
  ["icfs_gateway_failures_total", "Requests that it has not answered, or with an error.", (g) => g.failures],
  [
    "icfs_gateway_late_total",
    "Requests for which another gateway was asked as well, since it was late.",
    (g) => g.late,
  ],
  ["icfs_gateway_limited_total", "Requests that it refused as too many.", (g) => g.limited],
  ["icfs_gateway_wrong_total", "Its answers that did not verify, where another one did.", (g) => g.wrong],
  ["icfs_gateway_aside", "1 while it is asked last only.", (g) => Number(g.aside !== undefined)],
  [
    "icfs_gateway_usual_seconds",
    "From a query to the beginning of its answer, usually.",
    (g) => g.usual && g.usual / 1000,
  ],
];

/** For each mirror. */
const MIRROR_METRICS: Metrics<MirrorHealth> = [
  ["icfs_mirror_chunks_total", "Chunks that the mirror has brought, all verified.", (m) => m.chunks],
  ["icfs_mirror_bytes_total", "Their bytes.", (m) => m.bytes],
  ["icfs_mirror_answers_total", "Requests that it has answered.", (m) => m.answers],
  ["icfs_mirror_failures_total", "Requests that it has not answered, or with an error.", (m) => m.failures],
  [
    "icfs_mirror_missing_total",
    "Requests for data that it lacks, or has only in an older state.",
    (m) => m.missing,
  ],
  [
    "icfs_mirror_late_total",
    "Requests for which another mirror, or the network, was asked as well, since it was late.",
    (m) => m.late,
  ],
  ["icfs_mirror_limited_total", "Requests that it refused as too many.", (m) => m.limited],
  ["icfs_mirror_wrong_total", "Its answers that did not verify.", (m) => m.wrong],
  ["icfs_mirror_aside", "1 while it is asked last only.", (m) => Number(m.aside !== undefined)],
  [
    "icfs_mirror_usual_seconds",
    "From a request to the beginning of its answer, usually.",
    (m) => m.usual && m.usual / 1000,
  ],
];

/**
 * Answers at the address, until `close`.
 *
 * @param status undefined while nothing is mounted yet
 * @throws UserError when it cannot listen there
 */
export async function serveMetrics(
  address: ListenAddress,
  status: () => AnyStatus | undefined,
  log: Log,
): Promise<{ close(): void }> {
  const text = onceForAll(status);
  const server = createBoundedServer((request, response) => {
    answer(request, response, text).catch((error) => {
      log.error(`metrics: ${messageOf(error)}`);
      response.writeHead(500).end();
    });
  });
  const url = await listenAt(server, address, "--metrics");
  server.on("error", (error) => log.warn(`metrics: ${messageOf(error)}`));
  log.info(`metrics are at ${url}/metrics`);
  return {
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(
  { method, url }: IncomingMessage,
  response: ServerResponse,
  text: () => Promise<Buffer> | undefined,
): Promise<void> {
  const refuse = (code: number, why: string, headers = {}) =>
    response.writeHead(code, { "content-type": "text/plain", ...headers }).end(`${why}\n`);
  if (url?.split("?")[0] !== "/metrics") return void refuse(404, "there is only /metrics");
  if (method !== "GET" && method !== "HEAD") return void refuse(405, "GET or HEAD", { allow: "GET, HEAD" });
  const body = await text();
  if (body === undefined) return void refuse(503, "nothing is served yet");
  const headers = { "content-type": Registry.PROMETHEUS_CONTENT_TYPE, "content-length": body.length };
  response.writeHead(200, headers).end(body);
}

/**
 * Makes the metrics once for all requests of one turn: a client may send a thousand in one packet, and must not hold up readers.
 */
function onceForAll(status: () => AnyStatus | undefined): () => Promise<Buffer> | undefined {
  let made: Promise<Buffer> | undefined;
  return () => {
    const now = made === undefined ? status() : undefined;
    if (now !== undefined) {
      made = metricsOf(now).then((text) => Buffer.from(text));
      setImmediate(() => {
        made = undefined;
      });
    }
    return made;
  };
}

/** In Prometheus' text format. */
export function metricsOf(status: AnyStatus): Promise<string> {
  // A new registry each time, so that no old value stays.
  const registry = new Registry();
  const registers = [registry];
  // Labels on every metric: a host may have many mounts, and an alert must say which one it is about.
  const { canister, channel, mountpoint, site } = status;
  registry.setDefaultLabels({
    canister,
    ...(channel !== undefined && { channel }),
    ...(mountpoint === undefined ? { url: site?.url } : { mountpoint }),
  });
  const { channels } = status;
  if (channels === undefined) addAll(RELEASE_METRICS, status, registers);
  else addEach(RELEASE_METRICS, "channel", channels, (one) => one.channel ?? "", registers);
  addAll(METRICS, status, registers);
  const lookups = new Counter({
    name: "icfs_cache_lookups_total",
    help: "Chunks that readers asked for, by where they were; network: not here, so fetched if that went well.",
    labelNames: ["tier"],
    registers,
  });
  const { hits, diskHits, misses } = status.cache;
  lookups.inc({ tier: "memory" }, hits);
  lookups.inc({ tier: "disk" }, diskHits);
  lookups.inc({ tier: "network" }, misses);
  if (status.fromNetwork !== undefined) {
    const { chunks, bytes } = status.fromNetwork;
    const counts = [
      ["chunks", chunks, "Chunks that the network has brought where mirrors had not."],
      ["bytes", bytes, "Their bytes."],
    ] as const;
    for (const [what, count, help] of counts) {
      new Counter({ name: `icfs_network_${what}_total`, help, registers }).inc(count);
    }
  }
  addEach(GATEWAY_METRICS, "gateway", status.gateways, withoutLogin, registers);
  if (status.mirrors.length > 0) addEach(MIRROR_METRICS, "mirror", status.mirrors, withoutLogin, registers);
  return registry.metrics();
}

function addAll<T>(metrics: Metrics<T>, status: T, registers: Registry[]): void {
  for (const [name, help, of] of metrics) {
    const value = of(status);
    if (value !== undefined) new (metricOf(name))({ name, help, registers }).inc(value);
  }
}

/** @param label the label that tells the values apart @param nameOf the label's value */
function addEach<T>(
  metrics: Metrics<T>,
  label: string,
  all: readonly T[],
  nameOf: (one: T) => string,
  registers: Registry[],
): void {
  for (const [name, help, of] of metrics) {
    const metric = new (metricOf(name))({ name, help, labelNames: [label], registers });
    for (const one of all) {
      const value = of(one);
      if (value !== undefined) metric.inc({ [label]: nameOf(one) }, value);
    }
  }
}

function metricOf(name: string): typeof Counter | typeof Gauge {
  return name.endsWith("_total") ? Counter : Gauge;
}

/** The URL without its login, safe to show to anybody. */
function withoutLogin({ url }: { readonly url: string }): string {
  return url.replace(/\/\/[^/@]*@/, "//");
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
