/** `icfs mount --metrics`: what Prometheus reads of a mount. The log stays small when much goes wrong. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import t from "tap";
import { mountCommand } from "../../../lib/cli/mount.ts";
import type { GatewayHealth } from "../../../lib/ic/gateway/gateway.ts";
import { metricsOf } from "../../../lib/live/report/metrics.ts";
import type { MountStatus } from "../../../lib/live/report/status.ts";
import { eventually, mountedAt, sh } from "../../mount/mounts.ts";
import { BIN, cleanEnvironment, run, temporaryDirectory } from "../../support/icfs.ts";
import { type Mounted, startMountable } from "../../support/mountable.ts";

const MiB = 1024 * 1024;
const c = await startMountable(t);

/** Each metric in terms of `icfs status --json`, and the process's own metrics. */
const EXPECTED: Record<string, (status: MountStatus) => number | undefined> = {
  icfs_release: ({ release }) => release,
  icfs_release_files: ({ files }) => files,
  icfs_release_bytes: ({ bytes }) => bytes,
  icfs_proof_age_seconds: ({ proofAge }) => proofAge,
  icfs_release_check_failing: ({ problem }) => (problem ? 1 : 0),
  icfs_next_release_pending: ({ next }) => (next ? 1 : 0),
  icfs_hydrated: ({ hydrated }) => (hydrated ? 1 : 0),
  icfs_hydration_bytes: ({ hydration }) => hydration?.bytes,
  icfs_hydration_done_bytes: ({ hydration }) => hydration?.bytesDone,
  icfs_open_files: ({ openFiles }) => openFiles,
  icfs_opens_total: ({ readers }) => readers.opens,
  icfs_reads_total: ({ readers }) => readers.reads,
  icfs_read_bytes_total: ({ readers }) => readers.bytes,
  icfs_read_errors_total: ({ readers }) => readers.errors,
  'icfs_cache_lookups_total{tier="memory"}': ({ cache }) => cache.hits,
  'icfs_cache_lookups_total{tier="disk"}': ({ cache }) => cache.diskHits,
  'icfs_cache_lookups_total{tier="network"}': ({ cache }) => cache.misses,
  icfs_memory_used_bytes: ({ cache }) => cache.memoryUsed,
  icfs_memory_limit_bytes: ({ cache }) => cache.memory,
  icfs_fetched_chunks_total: ({ cache }) => cache.chunksVerified,
  icfs_fetched_bytes_total: ({ cache }) => cache.bytesVerified,
  icfs_fetch_failures_total: ({ cache }) => cache.failures,
  icfs_fetches_under_way: ({ cache }) => cache.underWay,
  icfs_breaker_open: ({ cache }) => (cache.failingSince ? 1 : 0),
  icfs_disk_read_chunks_total: ({ disk }) => disk?.reads,
  icfs_disk_read_bytes_total: ({ disk }) => disk?.bytesRead,
  icfs_disk_written_chunks_total: ({ disk }) => disk?.writes,
  icfs_disk_written_bytes_total: ({ disk }) => disk?.bytesWritten,
  icfs_disk_corrupt_chunks_total: ({ disk }) => disk?.corrupt,
  icfs_disk_capacity_bytes: ({ disk }) => disk?.capacity,
  icfs_disk_used_bytes: ({ disk }) => disk?.used,
  icfs_disk_problem: ({ disk }) => disk && (disk.problem ? 1 : 0),
  ...Object.fromEntries(
    (
      [
        ["icfs_gateway_answers_total", (g) => g.answers],
        ["icfs_gateway_failures_total", (g) => g.failures],
        ["icfs_gateway_late_total", (g) => g.late],
        ["icfs_gateway_limited_total", (g) => g.limited],
        ["icfs_gateway_wrong_total", (g) => g.wrong],
        ["icfs_gateway_aside", (g) => (g.aside ? 1 : 0)],
        ["icfs_gateway_usual_seconds", (g) => (g.usual === undefined ? undefined : g.usual / 1000)],
      ] satisfies [string, (gateway: GatewayHealth) => number | undefined][]
    ).map(([name, of]) => [
      `${name}{gateway="${c.proxy.url}"}`,
      ({ gateways }: MountStatus) => of(gateways[0]!),
    ]),
  ),
};
const OF_THE_PROCESS = [
  "process_cpu_seconds_total",
  "process_resident_memory_bytes",
  "process_start_time_seconds",
];

type Labels = Readonly<Record<string, string>>;

/**
 * The values by metric, and by the labels that not all of them have. Accepts only what the format allows.
 *
 * @throws Error where it is not Prometheus' text format
 */
function parse(text: string, common: Labels): Map<string, number> {
  if (!text.endsWith("\n")) throw new Error("no newline at the end");
  const values = new Map<string, number>();
  const types = new Map<string, string>();
  let helped: string | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    if (line === "") continue;
    const help = /^# HELP ([a-z_]+) \S.*\.$/.exec(line);
    const type = /^# TYPE ([a-z_]+) (gauge|counter)$/.exec(line);
    const sample = /^([a-z_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\[\\n"])*",?)+)\} (\d+(?:\.\d+)?)$/.exec(line);
    if (help) {
      helped = help[1]!;
    } else if (type) {
      if (type[1] !== helped || types.has(helped!)) throw new Error(`TYPE without HELP, or again: ${line}`);
      if ((type[2] === "counter") !== helped!.endsWith("_total")) throw new Error(`a wrong name: ${line}`);
      types.set(helped!, type[2]!);
    } else if (sample) {
      const [, name, written, value] = sample;
      if (!types.has(name!)) throw new Error(`a value without its type: ${line}`);
      const labels = new Map<string, string>();
      for (const [, label, quoted] of written!.matchAll(/([a-z]+)="((?:[^"\\]|\\.)*)"/g))
        labels.set(label!, JSON.parse(`"${quoted}"`));
      for (const [label, expected] of Object.entries(common)) {
        if (labels.get(label) !== expected) throw new Error(`another ${label}: ${line}`);
        labels.delete(label);
      }
      const rest = Array.from(labels, ([label, one]) => `${label}="${one}"`).join(",");
      const key = rest === "" ? name! : `${name}{${rest}}`;
      if (values.has(key)) throw new Error(`twice: ${line}`);
      values.set(key, Number(value));
    } else {
      throw new Error(`what is this? ${line}`);
    }
  }
  return values;
}

/** The metrics' URL of a mount that was told to take any free port. */
async function urlOf(mount: Mounted): Promise<string> {
  const url = / info metrics are at (http:\/\/127\.0\.0\.1:\d+\/metrics)\n/.exec(await mount.log())?.[1];
  if (url === undefined) throw new Error(`no address: ${await mount.log()}`);
  return url;
}

async function scrape(mount: Mounted): Promise<Map<string, number>> {
  const response = await fetch(await urlOf(mount));
  t.match(response.headers.get("content-type"), /^text\/plain; version=0\.0\.4/);
  const { canister, mountpoint } = await mount.status();
  return parse(await response.text(), { canister, mountpoint });
}

/** Unmounts, and waits until the mount's process has ended. */
async function unmount(mount: Mounted): Promise<void> {
  const url = await urlOf(mount);
  const { code, stderr } = await sh("umount", mount.mountpoint);
  if (code !== 0) throw new Error(stderr);
  const isGone = () =>
    fetch(url).then(
      () => false,
      (error) => error.cause.code === "ECONNREFUSED",
    );
  await eventually("nobody answers any more", isGone);
  await eventually(
    "its process has ended",
    async () => (await sh("pgrep", "-f", mount.mountpoint)).code === 1,
  );
}

t.test("metrics match icfs status, and grow as files are read", async (t) => {
  await c.publish({ "a secret name": randomBytes(MiB), other: randomBytes(2 * MiB) });
  // Without refreshes the age of the proof only grows.
  const mount = await c.mount("--ready", "hydrated", "--refresh", "0", "--metrics", "127.0.0.1:0");
  const before = await mount.status();
  const scraped = await scrape(mount);
  const after = await mount.status();
  for (const [name, of] of Object.entries(EXPECTED)) {
    const value = scraped.get(name)!;
    t.ok(value >= of(before)! && value <= of(after)!, `${name} is ${value}`);
  }
  t.same(
    [...scraped.keys()].sort(),
    [...Object.keys(EXPECTED), ...OF_THE_PROCESS].sort(),
    "there are no other metrics",
  );
  for (const name of OF_THE_PROCESS) t.ok(scraped.get(name)! > 0, name);
  t.match(Object.fromEntries(scraped), {
    icfs_release: 1,
    icfs_release_files: 2,
    icfs_release_bytes: 3 * MiB,
    icfs_hydrated: 1,
    icfs_hydration_done_bytes: 3 * MiB,
    icfs_breaker_open: 0,
    icfs_disk_problem: 0,
    icfs_fetched_bytes_total: 3 * MiB,
    icfs_read_bytes_total: 0,
  });

  t.equal((await sh("cmp", join(c.tree, "other"), mount.at("other"))).code, 0);
  const read = await scrape(mount);
  const grown = (name: string) => read.get(name)! - scraped.get(name)!;
  t.equal(grown("icfs_opens_total"), 1);
  t.equal(grown("icfs_read_bytes_total"), 2 * MiB);
  t.ok(grown("icfs_reads_total") > 0);
  // A file that fits half the memory stays there once it has been fetched.
  t.ok(grown('icfs_cache_lookups_total{tier="memory"}') >= 2);
  t.equal(grown('icfs_cache_lookups_total{tier="disk"}'), 0);
  t.equal(grown('icfs_cache_lookups_total{tier="network"}'), 0);
  t.notMatch(await (await fetch(await urlOf(mount))).text(), /secret/, "no metric shows a file's name");
});

t.test("only /metrics is served, read-only, until the mount ends", async (t) => {
  await c.publish({ file: "file\n" });
  const mount = await c.mount("--metrics", ":0", "--max-cache-size", "0", "--prefetch", "none");
  const url = await urlOf(mount);
  const head = await fetch(url, { method: "HEAD" });
  t.equal(head.status, 200);
  t.ok(Number(head.headers.get("content-length")) > 1000);
  t.equal(await head.text(), "");
  t.equal((await fetch(`${url}?name=x`)).status, 200);
  for (const path of ["/", "/status", "/metrics/", "/metricsx", "/../metrics/x"]) {
    t.equal((await fetch(new URL(path, url))).status, 404, path);
  }
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    const refused = await fetch(url, { method });
    t.equal(refused.status, 405, method);
    t.equal(refused.headers.get("allow"), "GET, HEAD");
  }
  const scraped = await scrape(mount);
  t.notOk(
    [...scraped.keys()].some((name) => /disk_|hydration/.test(name)),
    "there are no metrics of a disk or of hydration",
  );
  await unmount(mount);
});

t.test("an outage shows in the metrics, and hundreds of failed reads take a few lines of log", async (t) => {
  await c.publish({ read: randomBytes(MiB), cold: randomBytes(12 * MiB) });
  const mount = await c.mount("--prefetch", "none", "--read-timeout", "2", "--metrics", "0");
  const read = (name: string) => sh("cat", mount.at(name));
  await eventually("a file is read", async () => (await read("read")).code === 0);
  c.proxy.fault = () => "silence";
  let out = new Map<string, number>();
  // Fetches that were under way may close the breaker again.
  await eventually("the breaker is open", async () => {
    t.match((await read("cold")).stderr, /Input\/output error/);
    out = await scrape(mount);
    return out.get("icfs_breaker_open") === 1;
  });
  t.ok(out.get("icfs_read_errors_total")! >= 1);
  t.ok(out.get("icfs_fetch_failures_total")! >= 1);
  const script = 'for i in $(seq 300); do cat "$1" 2>&1 >/dev/null; done | sort | uniq -c';
  t.match((await sh("sh", "-c", script, "sh", mount.at("cold"))).stdout, /^ *300 .*Input\/output error\n$/);
  t.ok((await scrape(mount)).get("icfs_read_errors_total")! >= out.get("icfs_read_errors_total")! + 300);
  c.proxy.fault = () => "none";
  await eventually("the network is back", async () => (await scrape(mount)).get("icfs_breaker_open") === 0);
  await unmount(mount);
  const log = await mount.log();
  t.ok(log.split("\n").length < 25, log);
  t.match(log, / warn the network does not answer /);
});

t.test("a recurring message is logged three times and then counted", async (t) => {
  await c.publish({ file: randomBytes(20 * MiB) });
  const warm = await c.mount("--ready", "hydrated", "--metrics", "0");
  await unmount(warm);
  const chunks = join(c.env.XDG_CACHE_HOME!, "icfs", "chunks");
  const files = (await readdir(chunks, { recursive: true })).filter((name) => name.includes("/"));
  for (const name of files) await writeFile(join(chunks, name), "");
  const mount = await c.mount("--ready", "hydrated", "--metrics", "0");
  t.ok(await c.same(mount.mountpoint));
  const corrupt = (await scrape(mount)).get("icfs_disk_corrupt_chunks_total")!;
  t.ok(corrupt >= 20, `${corrupt} corrupt chunks`);
  await unmount(mount);
  const lines = (await mount.log()).split("\n").filter((line) => line.includes("disk cache: chunk "));
  t.equal(lines.length, 4, "three messages and their sum at the end");
  t.match(lines[3], new RegExp(` warn ${corrupt - 3} more like this in the last \\d+ s: disk cache: chunk `));
});

t.test("when the metrics address is unavailable, nothing is mounted", async (t) => {
  await c.publish({ file: "file\n" });
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  t.teardown(() => void other.close());
  const cases = [
    [
      `${(other.address() as AddressInfo).port}`,
      /cannot listen at 127\.0\.0\.1:\d+ \(.*in use.*\): choose another address with --metrics/,
    ],
    ["192.0.2.1:9101", /cannot listen at 192\.0\.2\.1:9101 \(.*\): choose another/],
    ["[2001:db8::1]:9101", /cannot listen at \[2001:db8::1\]:9101 \(/],
    ["nowhere.invalid:9101", /cannot listen at nowhere\.invalid:9101 \(/],
  ] as const;
  for (const [address, reason] of cases) {
    for (const more of [[], ["--foreground"]]) {
      const failed = await c.tryMount("--metrics", address, ...more);
      t.match(failed, { code: 1, stdout: "", stderr: reason }, `${address} ${more}`);
      t.equal(await mountedAt(failed.mountpoint), undefined);
      await eventually(
        "no process is left",
        async () => (await sh("pgrep", "-f", failed.mountpoint)).code === 1,
      );
    }
  }
});

t.test("an invalid address is a usage error", async (t) => {
  const env = cleanEnvironment(await temporaryDirectory(t));
  const args = ["mount", "oeagv-5qaaa-aaaah-aar4q-cai", "/mnt"];
  const wrong = [
    "",
    ":",
    "localhost",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:65536",
    "127.0.0.1:http",
    "::1:9101",
    "[::1]",
    "[127.0.0.1]:9101",
    "[::1:9101",
    "a b:9101",
    "http://127.0.0.1:9101",
    "127.0.0.1:9101/metrics",
  ];
  const reason = /is invalid\. Use HOST:PORT, \[IPV6\]:PORT, or PORT for 127\.0\.0\.1\./;
  const command = mountCommand()
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  for (const address of wrong) {
    await t.rejects(
      command.parseAsync([...args.slice(1), "--metrics", address], { from: "user" }),
      {
        exitCode: 1,
        message: reason,
      },
      `"${address}"`,
    );
  }
  const failed = await run(BIN, args, { env: { ...env, ICFS_METRICS: "no" } });
  t.match(failed, { code: 2, stdout: "", stderr: reason }, "an invalid address in the environment");
});

t.test("the metrics of a channel's mount give the channel and the record's serial number", async (t) => {
  await c.publish({ file: "file\n" });
  const mount = await c.mount();
  const status = { ...(await mount.status()), channel: "stable", serial: 7 };
  const { canister, mountpoint } = status;
  const values = parse(await metricsOf(status), { canister, mountpoint, channel: "stable" });
  t.equal(values.get("icfs_channel_serial"), 7);
  t.equal(values.get("icfs_release"), status.release);
});

t.test("the name of a mountpoint cannot forge a metric", async (t) => {
  await c.publish({ file: "file\n" });
  const status = await (await c.mount()).status();
  const mountpoint = '/srv/a"} 1\nicfs_release{x="\\';
  const values = parse(await metricsOf({ ...status, mountpoint }), { canister: c.id, mountpoint });
  t.equal(values.get("icfs_release"), status.release);
});
