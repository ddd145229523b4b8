/**
 * Measures the memory of the process that serves a mount, beside rclone's: `node bench/memory.ts [--runs 3] [--json]`, as root;
 * `make bench-memory`; two minutes a run. In each run, each way in turn mounts a tree of 512 MiB, from `icfs localnet` or from a web
 * server on the same host. Memory is sampled when it is just mounted, after a pause, while eight readers read all of it, and after
 * another pause.
 */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { Process, run } from "../demo/process.ts";
import { makeWorkspace, type Workspace } from "../demo/workspace.ts";
import { mountOverHttp, RCLONE, startWebServer } from "./cold/http-mount.ts";
import { mountTree, type PublishedTree, startNetwork } from "./dnsmasq/icfs.ts";
import { median, sorted } from "./median.ts";
import { print } from "./result.ts";
import { forgetPeak, type Usage, usageOf } from "./usage.ts";

const MIB = 1024 * 1024;
/** Together twice as much as icfs keeps in memory by default. */
const FILES = 32;
const FILE_MIB = 16;
const READERS = 8;
/** During a pause, garbage is collected, and caches release what they can. */
const PAUSE_MS = 10_000;
const SAMPLE_MS = 100;

const { values } = parseArgs({
  options: { runs: { type: "string", default: "3" }, json: { type: "boolean", default: false } },
});

interface Served {
  readonly mountpoint: string;
  readonly pid: number;
}

interface Servers {
  readonly workspace: Workspace;
  readonly published: PublishedTree;
  readonly web: string;
  readonly signal: AbortSignal;
}

type Way = (servers: Servers, stack: AsyncDisposableStack) => Promise<Served>;

const icfs =
  (...more: string[]): Way =>
  ({ published, workspace, signal }, stack) =>
    mountTree(published, more, workspace, stack, { env: workspace.env, signal });

const WAYS: Readonly<Record<string, Way>> = {
  rclone: ({ web, workspace, signal }, stack) => mountOverHttp(RCLONE, web, workspace, stack, signal),
  icfs: icfs(),
  "icfs --prefetch none": icfs("--prefetch", "none"),
  "icfs --memory 64MiB": icfs("--memory", "64MiB"),
};

const PHASES = ["just mounted", "after 10 s", `${READERS} readers`, "10 s after them"] as const;
type Phases = Record<(typeof PHASES)[number], Usage> & { readonly seconds: number };

/** Medians of all samples, and the maximum. @param samples at least one */
function summaryOf(samples: readonly Usage[]): Usage {
  const of = (what: keyof Usage) => median(sorted(samples.map((sample) => sample[what])));
  return {
    resident: of("resident"),
    anonymous: of("anonymous"),
    proportional: of("proportional"),
    peak: Math.max(...samples.map(({ peak }) => peak)),
    threads: of("threads"),
    descriptors: of("descriptors"),
  };
}

/** Reads the whole tree. Each reader has files of its own, so that each byte is read once. @returns the memory meanwhile */
async function readAll({ mountpoint, pid }: Served, { workspace: { env }, signal }: Servers) {
  const readers = Array.from({ length: READERS }, (_, reader) => {
    const files = Array.from({ length: FILES / READERS }, (_, i) =>
      join(mountpoint, `${reader + i * READERS}`),
    );
    return run("sh", ["-c", 'cat -- "$@" > /dev/null', "sh", ...files], { env, signal, seconds: 120 });
  });
  const done = Promise.all(readers);
  const samples: Usage[] = [];
  while ((await Promise.race([done, sleep(SAMPLE_MS)])) === undefined) samples.push(await usageOf(pid));
  return summaryOf(samples);
}

/** The memory of an idle Node process, the least that a mount can take. */
async function nodeAlone({ workspace: { env }, signal }: Servers): Promise<Usage> {
  await using node = new Process(
    process.execPath,
    ["-e", "setInterval(() => {}, 1e6); console.log('up')"],
    env,
  );
  await node.until(/up/, { seconds: 30, signal });
  return await usageOf(node.pid!);
}

async function watch(way: Way, servers: Servers): Promise<Phases> {
  await using stack = new AsyncDisposableStack();
  const served = await way(servers, stack);
  const pause = () => sleep(PAUSE_MS, undefined, { signal: servers.signal });
  const mounted = await usageOf(served.pid);
  await pause();
  const idle = await usageOf(served.pid);
  await forgetPeak(served.pid);
  const started = performance.now();
  const load = await readAll(served, servers);
  const seconds = (performance.now() - started) / 1000;
  await pause();
  const after = await usageOf(served.pid);
  return {
    "just mounted": mounted,
    "after 10 s": idle,
    [`${READERS} readers`]: load,
    "10 s after them": after,
    seconds,
  } as Phases;
}

await interruptible("bench", async (signal) => {
  await using stack = new AsyncDisposableStack();
  const workspace = stack.use(await makeWorkspace("icfs-bench"));
  const { directory, env } = workspace;
  const tree = join(directory, "tree");
  await mkdir(tree);
  for (let i = 0; i < FILES; i++) await writeFile(join(tree, `${i}`), randomBytes(FILE_MIB * MIB));
  const published = await startNetwork(tree, [], stack, { env, signal });
  const { url: web } = await startWebServer(tree, workspace, stack, signal);
  const servers = { workspace, published, web, signal };
  const runs = new Map<string, Phases[]>(Object.keys(WAYS).map((way) => [way, []]));
  for (let i = 0; i < Number(values.runs); i++) {
    for (const [name, way] of Object.entries(WAYS)) {
      const phases = await watch(way, servers);
      runs.get(name)!.push(phases);
      const figures = PHASES.map((phase) => phases[phase].resident.toFixed(0));
      console.error(`${name}: ${figures.join(", ")} MiB; read in ${phases.seconds.toFixed(1)} s`);
    }
  }
  report(await nodeAlone(servers), runs);
});

function report(alone: Usage, runs: ReadonlyMap<string, readonly Phases[]>): void {
  const rows = [...runs].flatMap(([name, all]) =>
    PHASES.map((phase) => {
      const of = (what: keyof Usage, from = all) => sorted(from.map((phases) => phases[phase][what]));
      const resident = of("resident");
      const ratio = median(resident) / median(of("resident", runs.get("rclone")!));
      const cells = [median(resident), resident[0]!, resident.at(-1)!, of("peak").at(-1)!];
      const more = [median(of("anonymous")), median(of("proportional"))];
      return [name, phase, ...[...cells, ...more].map((value) => value.toFixed(0)), ratio.toFixed(2)];
    }),
  );
  const seconds = [...runs].map(([name, all]) => [
    name,
    median(sorted(all.map((phases) => phases.seconds))).toFixed(1),
  ]);
  print(
    {
      title: "Memory of the process that serves",
      about: [
        `In MiB, ${values.runs} runs: the resident memory (median, least and most) and its highest peak in any run (since the mount began,`,
        `or since the readers began); the part of it that belongs to no file (anonymous); and PSS, which divides shared pages. A tree of ${FILES * FILE_MIB} MiB,`,
        `${READERS} readers, on loopback without delays. Everything else is at its default: icfs keeps 256 MiB in memory`,
        "and fetches everything ahead, to disk, in the first pause too; rclone keeps nothing on disk, and buffers 16 MiB for each open file.",
      ].join(" "),
      tables: [
        {
          columns: ["by", "when", "resident", "least", "most", "peak", "anonymous", "PSS", "times rclone"],
          rows,
        },
        { columns: ["by", "s for all of it"], rows: seconds },
        {
          columns: ["Node alone", "resident", "anonymous", "PSS"],
          rows: [
            ["", ...[alone.resident, alone.anonymous, alone.proportional].map((value) => value.toFixed(0))],
          ],
        },
      ],
      goals: [],
    },
    values.json,
  );
}
