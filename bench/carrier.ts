/**
 * Measures what a mirror's bytes cost on their way to a reader: `node bench/carrier.ts [--mebibytes 1024] [--runs 3] [--json]`,
 * as root; `make bench-carrier`. A mount reads a large file from a static mirror (`icfs mirror`) behind nginx on this machine, and by
 * queries from the local network that the mirror was made from; `curl | sha256sum` reads it from the same nginx; all in turn. Then a
 * mount reads small files over a distant line. At the end, the mount's main thread is profiled.
 */
import { randomBytes } from "node:crypto";
import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { run } from "../demo/process.ts";
import { makeWorkspace, type Workspace } from "../demo/workspace.ts";
import { makeMirror, serveHere } from "./carrier/mirror.ts";
import { profileIn } from "./carrier/profile.ts";
import { startWebServer } from "./cold/http-mount.ts";
import { icfs } from "./cold/ways.ts";
import type { Fetched } from "./cpu/fetch.ts";
import { mountTree, type PublishedTree, startNetwork } from "./dnsmasq/icfs.ts";
import { median, sorted, spread } from "./median.ts";
import { print, type Table } from "./result.ts";
import { processorTime } from "./usage.ts";

const FETCH = fileURLToPath(new URL("cpu/fetch.ts", import.meta.url));
const MIB = 1024 * 1024;
/** Enough for publishing, copying and reading a gigabyte on a busy machine. */
const SECONDS = 1800;
const SMALL_FILES = 250;
const SMALL_BYTES = 10_000;
const LINE = { latencyMs: 80, mibPerSecond: 50 };
/** The size of the file that a separate process fetches without a mount. */
const FETCHED_MIB = 64;
/** The flags and variables with which bin/icfs starts a serving process. */
const FLAGS = ["--max-semi-space-size=1", "--expose-gc", "--external-memory-accounted-in-global-limit"];
const VARIABLES = {
  MALLOC_ARENA_MAX: "1",
  MALLOC_MMAP_THRESHOLD_: "4194304",
  GLIBC_TUNABLES: "glibc.malloc.hugetlb=1",
};
/** Functions listed from the profile. */
const MOST_FUNCTIONS = 20;

/** The goals. */
const MOST_CPU_MS = 3;
const LEAST_OF_QUERIES = 4;
const LEAST_OF_CURL = 0.6;

const { values } = parseArgs({
  options: {
    mebibytes: { type: "string", default: "1024" },
    runs: { type: "string", default: "3" },
    json: { type: "boolean", default: false },
  },
});
const mebibytes = Number(values.mebibytes);
const runs = Number(values.runs);

interface Read {
  readonly seconds: number;
  /** Processor time of the process that serves the mount, in milliseconds for each MiB. */
  readonly cpuMs: number;
}

await interruptible("bench", async (signal) => {
  await using stack = new AsyncDisposableStack();
  const workspace = stack.use(await makeWorkspace("icfs-bench"));
  const { directory, env } = workspace;
  const options = { env, signal, seconds: SECONDS };

  /** Publishes a tree to a network of its own, and makes a mirror of it. */
  const mirrored = async (
    name: string,
    weather: readonly string[],
    fill: (tree: string) => Promise<void>,
  ) => {
    const tree = join(directory, name);
    await mkdir(tree);
    await fill(tree);
    const published = await startNetwork(tree, weather, stack, options);
    const mirror = join(directory, `${name}-mirror`);
    const only = await makeMirror(published, mirror, options);
    return { published, mirror, only };
  };
  const part = await mirrored("part", [], (tree) => writeRandom(join(tree, "file"), FETCHED_MIB));
  const large = await mirrored("large", [], (tree) => writeRandom(join(tree, "file"), mebibytes));
  const nginx = await serveHere(directory, workspace, stack);

  const fetched: Record<"mirror" | "queries" | "hashes", number[]> = { mirror: [], queries: [], hashes: [] };
  for (let i = 0; i < runs; i++) {
    for (const way of ["mirror", "queries"] as const) {
      const { url, canister } = part.published;
      const from = way === "mirror" ? [`${nginx}/part-mirror`] : [];
      const one: Fetched = JSON.parse(
        await run(process.execPath, [...FLAGS, FETCH, "icfs", url, canister, ...from], {
          ...options,
          env: { ...env, ...VARIABLES },
        }),
      );
      fetched[way].push(one.again.cpuMs / one.mebibytes);
      fetched.hashes.push(one.cold!.hashes.cpuMs / one.mebibytes);
    }
  }

  const fromMirror = ["--prefetch", "none", "--mirror", `${nginx}/large-mirror`, ...large.only];
  const read = { mirror: [] as Read[], queries: [] as Read[], curl: [] as number[], local: [] as number[] };
  const secondsOf = async (command: string) => {
    const started = performance.now();
    await run("sh", ["-c", command], options);
    return (performance.now() - started) / 1000;
  };
  for (let i = 0; i < runs; i++) {
    read.mirror.push(await throughMount(large.published, fromMirror, workspace, options));
    read.queries.push(await throughMount(large.published, ["--prefetch", "none"], workspace, options));
    read.curl.push(await secondsOf(`curl --silent --fail ${nginx}/large/file | sha256sum`));
    // nginx has just read the file, so it comes from the page cache.
    read.local.push(await secondsOf(`sha256sum ${join(directory, "large/file")}`));
    console.error(
      `mirror ${read.mirror.at(-1)!.seconds.toFixed(1)} s, queries ${read.queries.at(-1)!.seconds.toFixed(1)} s, curl ${read.curl.at(-1)!.toFixed(1)} s`,
    );
  }

  const files = Array.from({ length: SMALL_FILES }, (_, i) => `file-${String(i).padStart(3, "0")}`);
  const weather = ["--latency", String(LINE.latencyMs), "--bandwidth", String(LINE.mibPerSecond)];
  const small = await mirrored("small", weather, async (tree) => {
    for (const file of files) await writeFile(join(tree, file), randomBytes(SMALL_BYTES));
  });
  const far = await startWebServer(small.mirror, workspace, stack, signal, LINE);
  const smallFromMirror = ["--prefetch", "none", "--mirror", far.url.replace(/\/$/, ""), ...small.only];
  const reading = { workspace, signal, published: small.published, web: far.url };
  const smalls = { mirror: [] as number[], queries: [] as number[] };
  for (let i = 0; i < runs; i++) {
    smalls.mirror.push((await icfs(...smallFromMirror)(reading, files)).seconds);
    smalls.queries.push((await icfs("--prefetch", "none")(reading, files)).seconds);
  }

  const profiles = join(directory, "profiles");
  await throughMount(
    large.published,
    fromMirror,
    { ...workspace, env: { ...env, NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profiles}` } },
    options,
  );
  const profile = await profileIn(profiles, MOST_FUNCTIONS);

  const cpu = { mirror: median(sorted(fetched.mirror)), queries: median(sorted(fetched.queries)) };
  const seconds = (way: "mirror" | "queries") => sorted(read[way].map((one) => one.seconds));
  const mountCpu = (way: "mirror" | "queries") => sorted(read[way].map((one) => one.cpuMs));
  const [byMirror, byQueries, byCurl] = [seconds("mirror"), seconds("queries"), sorted(read.curl)];
  const alone = sorted(read.local);
  const most = median(byQueries) / median(alone);
  const ofQueries = median(byQueries) / median(byMirror);
  const ofCurl = median(byCurl) / median(byMirror);
  const ofSmall = median(sorted(smalls.mirror)) / median(sorted(smalls.queries));
  print(
    {
      title: "From a mirror",
      about: `A file of ${mebibytes} MiB read by sha256sum through a mount with nothing in any cache: from a static mirror behind nginx on this machine, and by queries to a local network on it; beside curl and sha256sum, joined by a pipe, of the file from the same nginx. All in turn, ${runs} runs. No mount can be faster than sha256sum of a file in this machine's page cache, which is ${most.toFixed(2)} times as fast as a mount by queries. The processor time is that of the process that serves the mount. "Without a mount" means ${FETCHED_MIB} chunks of 1 MiB, 16 at once, fetched and verified for the second time. The small files are ${SMALL_FILES} of ${SMALL_BYTES / 1000} KB, one after the other, ${LINE.latencyMs} ms and ${LINE.mibPerSecond} MiB/s away.`,
      tables: [
        {
          columns: [
            "a first read",
            "s, median",
            "least",
            "most",
            "MiB/s",
            "ms of CPU a MiB, median",
            "least",
            "most",
          ],
          rows: [
            ["mount, mirror", ...spread(byMirror, 2), rate(byMirror), ...spread(mountCpu("mirror"), 2)],
            ["mount, queries", ...spread(byQueries, 2), rate(byQueries), ...spread(mountCpu("queries"), 2)],
            ["curl, sha256sum", ...spread(byCurl, 2), rate(byCurl), "", "", ""],
            ["sha256sum alone, a local file", ...spread(alone, 2), rate(alone), "", "", ""],
          ],
        },
        {
          columns: ["without a mount", "ms of CPU a MiB, median", "least", "most"],
          rows: [
            ["mirror", ...spread(sorted(fetched.mirror), 2)],
            ["queries", ...spread(sorted(fetched.queries), 2)],
            ["SHA-256 alone", ...spread(sorted(fetched.hashes), 2)],
          ],
        },
        {
          columns: [`${SMALL_FILES} small files`, "s, median", "least", "most"],
          rows: [
            ["mirror", ...spread(sorted(smalls.mirror), 2)],
            ["queries", ...spread(sorted(smalls.queries), 2)],
          ],
        },
        profileTable(profile),
      ],
      goals: [
        {
          what: "a verified MiB from a mirror, ms of CPU",
          goal: `at most ${MOST_CPU_MS}`,
          measured: cpu.mirror.toFixed(2),
          met: cpu.mirror <= MOST_CPU_MS,
        },
        {
          what: "a first read from a mirror: times as fast as by queries",
          goal: `at least ${LEAST_OF_QUERIES}`,
          measured: ofQueries.toFixed(2),
          met: ofQueries >= LEAST_OF_QUERIES,
        },
        {
          what: "a first read from a mirror: of the speed of curl and sha256sum",
          goal: `at least ${LEAST_OF_CURL}`,
          measured: ofCurl.toFixed(2),
          met: ofCurl >= LEAST_OF_CURL,
        },
        {
          what: "small files from a far mirror: of the time by queries",
          goal: "at most 1",
          measured: ofSmall.toFixed(2),
          met: ofSmall <= 1,
        },
      ],
    },
    values.json,
  );
});

/** MiB per second, at the median. @param seconds sorted */
function rate(seconds: readonly number[]): string {
  return (mebibytes / median(seconds)).toFixed(0);
}

function profileTable(profile: readonly { readonly name: string; readonly share: number }[]): Table {
  return {
    columns: ["a mount's main thread, while it is not idle", "%"],
    rows: profile.map(({ name, share }) => [name, (100 * share).toFixed(1)]),
  };
}

async function writeRandom(path: string, size: number): Promise<void> {
  await using file = await open(path, "w");
  for (let i = 0; i < size; i++) await file.write(randomBytes(MIB));
}

/** Reads the large file through a new mount. @param more options of `icfs mount` */
async function throughMount(
  published: PublishedTree,
  more: readonly string[],
  workspace: Workspace,
  options: { readonly env: NodeJS.ProcessEnv; readonly signal: AbortSignal; readonly seconds: number },
): Promise<Read> {
  await using stack = new AsyncDisposableStack();
  const { env } = workspace;
  const { mountpoint, pid } = await mountTree(published, more, workspace, stack, { ...options, env });
  const before = await processorTime(pid);
  const started = performance.now();
  await run("sha256sum", [join(mountpoint, "file")], options);
  const seconds = (performance.now() - started) / 1000;
  return { seconds, cpuMs: ((await processorTime(pid)) - before) * (1000 / mebibytes) };
}
