/**
 * Measures the first read of a distant tree, beside what people would use instead of icfs: `node bench/cold.ts [--runs 5] [--ways
 * icfs,rclone] [--json]`, as root; `make bench-cold`. In each run, all ways read in turn over lines of 80 ms and 50 MiB/s: icfs
 * from `icfs localnet`, the others from a web server.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { makeWorkspace } from "../demo/workspace.ts";
import { goalsOf } from "./cold/goals.ts";
import { startWebServer } from "./cold/http-mount.ts";
import { type Far, WAYS } from "./cold/ways.ts";
import { startNetwork } from "./dnsmasq/icfs.ts";
import { median, sorted, spread } from "./median.ts";
import { print, type Table } from "./result.ts";

const MIB = 1024 * 1024;
const LATENCY_MS = 80;
const MIB_PER_SECOND = 50;
/** A way that takes more seconds than this is measured only twice: its times vary by less than they differ from the others'. */
const LONG = 10;
const RUNS_IF_LONG = 2;

/** The files to read, one after another. */
const LOADS = {
  large: { name: "a file of 64 MiB", files: 1, bytes: 64 * MIB },
  small: { name: "250 files of 10 KB", files: 250, bytes: 10_000 },
};

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    ways: { type: "string", default: Object.keys(WAYS).join() },
    json: { type: "boolean", default: false },
  },
});
const ways = values.ways.split(",");
for (const way of ways) if (!(way in WAYS)) throw new Error(`no way "${way}": ${Object.keys(WAYS).join()}`);

await interruptible("bench", async (signal) => {
  await using stack = new AsyncDisposableStack();
  const workspace = stack.use(await makeWorkspace("icfs-bench"));
  const { directory, env } = workspace;
  /** Seconds, sorted, of each load by each way. */
  const taken = new Map<string, Map<string, number[]>>();
  for (const [load, { name, files: count, bytes }] of Object.entries(LOADS)) {
    const tree = join(directory, load);
    await mkdir(tree);
    const files = Array.from({ length: count }, (_, i) => `file-${String(i).padStart(3, "0")}`);
    const hash = createHash("sha256");
    for (const file of files) {
      const content = randomBytes(bytes);
      hash.update(content);
      await writeFile(join(tree, file), content);
    }
    const sha256 = hash.digest("hex");
    const weather = ["--latency", String(LATENCY_MS), "--bandwidth", String(MIB_PER_SECOND)];
    await using servers = new AsyncDisposableStack();
    const published = await startNetwork(tree, weather, servers, { env, signal });
    const line = { latencyMs: LATENCY_MS, mibPerSecond: MIB_PER_SECOND };
    const { url: web } = await startWebServer(tree, workspace, servers, signal, line);
    const far: Far = { workspace, signal, published, web };
    const seconds = new Map<string, number[]>(ways.map((way) => [way, []]));
    for (let i = 0; i < Number(values.runs); i++) {
      for (const [way, all] of seconds) {
        if (i >= RUNS_IF_LONG && all.every((one) => one > LONG)) continue;
        const { seconds: one, sha256: read } = await WAYS[way]!(far, files);
        if (read !== undefined && read !== sha256) throw new Error(`${way}: wrong bytes`);
        all.push(one);
        console.error(`${name}, ${way}: ${one.toFixed(2)} s`);
      }
    }
    for (const [way, all] of seconds) seconds.set(way, sorted(all));
    taken.set(load, seconds);
  }
  const link = (64 * MIB) / MIB / MIB_PER_SECOND + (3 * LATENCY_MS) / 1000;
  print(
    {
      title: "A first read",
      about: `Read through a mount with nothing in any cache, ${LATENCY_MS} ms (round trip) and ${MIB_PER_SECOND} MiB/s away; all ways in turn, ${values.runs} runs, or ${RUNS_IF_LONG} of a way that takes over ${LONG} s. "icfs" is without prefetching (--prefetch none). Sector after sector, only 50 are read; the time is what all of them would take.`,
      tables: Object.entries(LOADS).map(([load, { name }]) => table(name, taken.get(load)!)),
      goals: goalsOf((load, way) => {
        const all = taken.get(load)?.get(way);
        return all && median(all);
      }, link),
    },
    values.json,
  );
});

function table(name: string, seconds: ReadonlyMap<string, readonly number[]>): Table {
  const first = median(seconds.values().next().value!);
  return {
    columns: [name, "s, median", "least", "most", "runs", `times ${ways[0]}`],
    rows: Array.from(seconds, ([way, all]) => [
      way,
      ...spread(all, 2),
      all.length,
      (median(all) / first).toFixed(2),
    ]),
  };
}
