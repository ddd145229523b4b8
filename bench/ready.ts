/**
 * Measures the way from `icfs mount` to a readable mount, in seconds and in round trips: `node bench/ready.ts [--runs 5] [--json]`, as
 * root; `make bench-ready`. With nothing kept on the host (cold), with what an earlier mount has kept (warm), and with --offline;
 * for trees of three sizes, from a nearby network (test/support/generated-network.ts), and from one that is 80 ms away. Round
 * trips are counted once more over the distant line, through a proxy.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { run } from "../demo/process.ts";
import { makeWorkspace, type Workspace } from "../demo/workspace.ts";
import { type GeneratedNetwork, startGeneratedNetwork } from "./generated-network.ts";
import { median, sorted, spread } from "./median.ts";
import { countingProxy } from "./publish/counting-proxy.ts";
import { type Goal, print, type Table } from "./result.ts";

const ICFS = fileURLToPath(new URL("../bin/icfs", import.meta.url));
const LATENCY_MS = 80;
/** Trees by their number of entries. */
const TREES = {
  "1,000": { directories: 10, filesEach: 99 },
  "10,000": { directories: 100, filesEach: 99 },
  "100,000": { directories: 100, filesEach: 999 },
};
const WAYS = ["cold", "warm", "offline"] as const;

const { values } = parseArgs({
  options: { runs: { type: "string", default: "5" }, json: { type: "boolean", default: false } },
});

/**
 * Mounts the canister in each way, one after another. Resolves to the results of `measure`, which is called with the seconds of each
 * mount.
 */
async function mounts(
  network: GeneratedNetwork,
  { directory, env }: Workspace,
  signal: AbortSignal,
  measure = (seconds: number) => seconds,
): Promise<number[]> {
  const host = await mkdtemp(join(directory, "host-"));
  const mountpoint = join(host, "mnt");
  await mkdir(mountpoint);
  const own = { ...env, XDG_STATE_HOME: join(host, "state") };
  const taken: number[] = [];
  for (const way of WAYS) {
    const options = [
      "--cache-dir",
      join(host, "cache"),
      "--log-file",
      join(host, "log"),
      "--prefetch",
      "none",
    ];
    if (way === "offline") options.push("--offline");
    const started = performance.now();
    await run(
      ICFS,
      [
        ...["mount", network.canister, mountpoint, "--network", network.url],
        ...["--root-key", network.rootKey, ...options],
      ],
      { env: own, signal, seconds: 60 },
    );
    taken.push(measure((performance.now() - started) / 1000));
    await run(ICFS, ["umount", mountpoint], { env: own });
  }
  await rm(host, { recursive: true });
  return taken;
}

interface Line {
  readonly entries: string;
  readonly way: (typeof WAYS)[number];
  /** Seconds, sorted. */
  readonly near: readonly number[];
  readonly far: readonly number[];
  readonly roundTrips: number;
}

await interruptible("bench", async (signal) => {
  await using workspace = await makeWorkspace("icfs-bench");
  const lines: Line[] = [];
  for (const [entries, small] of Object.entries(TREES)) {
    await using near = await startGeneratedNetwork(small, 0);
    await using far = await startGeneratedNetwork(small, LATENCY_MS);
    const taken = { near: [] as number[][], far: [] as number[][] };
    for (let i = 0; i < Number(values.runs); i++) {
      taken.near.push(await mounts(near, workspace, signal));
      taken.far.push(await mounts(far, workspace, signal));
      if (!values.json)
        console.error(
          `${entries} entries: ${taken.far
            .at(-1)!
            .map((s) => s.toFixed(2))
            .join(" ")}`,
        );
    }
    await using proxy = await countingProxy(far.url);
    const trips = await mounts({ ...far, url: proxy.url }, workspace, signal, proxy.roundTrips);
    for (const [i, way] of WAYS.entries()) {
      const of = (all: number[][]) => sorted(all.map((one) => one[i]!));
      lines.push({ entries, way, near: of(taken.near), far: of(taken.far), roundTrips: trips[i]! });
    }
  }
  print(
    {
      title: "From `icfs mount` to a mount that can be read",
      about: `With nothing kept on the host (cold), with what an earlier mount has kept (warm), and with --offline, at ${LATENCY_MS} ms. Round trips, of requests that wait for one another, are counted in one more mount. ${values.runs} runs, near and far in turn.`,
      tables: [table(lines)],
      goals: goals(lines),
    },
    values.json,
  );
});

function table(lines: readonly Line[]): Table {
  return {
    columns: ["entries", "mount", "s, near", `s, ${LATENCY_MS} ms away`, "least", "most", "round trips"],
    rows: lines.map((line) => [
      line.entries,
      line.way,
      median(line.near).toFixed(2),
      ...spread(line.far, 2),
      `${line.roundTrips}`,
    ]),
  };
}

function goals(lines: readonly Line[]): Goal[] {
  const [small, middle, large] = Object.keys(TREES).map((entries) => ({
    count: Number(entries.replace(",", "")),
    entries,
    of: (way: Line["way"]) => lines.find((line) => line.entries === entries && line.way === way)!,
  })) as [Tree, Tree, Tree];
  const most = (way: Line["way"], trips: number): Goal => ({
    what: `mount to ready, ${way}, ${small.entries} entries: round trips`,
    goal: `at most ${trips}`,
    measured: `${small.of(way).roundTrips}`,
    met: small.of(way).roundTrips <= trips,
  });
  const warm = median(large.of("warm").far);
  /** Seconds per additional entry, by the quickest runs: disturbances only add time, and small trees differ by little. */
  const slope = (from: Tree, to: Tree) =>
    (to.of("warm").near[0]! - from.of("warm").near[0]!) / (to.count - from.count);
  const times = slope(middle, large) / slope(small, middle);
  return [
    most("cold", 6),
    most("warm", 1),
    most("offline", 0),
    {
      what: `mount to ready, warm, ${large.entries} entries: seconds`,
      goal: "at most 3",
      measured: warm.toFixed(2),
      met: warm <= 3,
    },
    {
      what: `time for each entry more: from ${middle.entries} to ${large.entries}, beside that from ${small.entries} to ${middle.entries}`,
      goal: "linear: at most 1.5 times",
      measured: times.toFixed(2),
      met: times > 0 && times <= 1.5,
    },
  ];
}

interface Tree {
  readonly count: number;
  readonly entries: string;
  of(way: Line["way"]): Line;
}
