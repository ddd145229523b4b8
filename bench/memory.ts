/**
 * What the process that serves a mount takes in memory, beside rclone's: `node bench/memory.ts [--runs 3] [--json]`, as root; `make
 * bench-memory`; two minutes a run. A tree of 512 MiB, from `icfs localnet` and from a web server on the same host; all ways in turn, in each run, each
 * on a fresh mount: just mounted, after a pause, while eight readers read all of it, and after another pause.
 */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { run } from "../demo/process.ts";
import { makeWorkspace, type Workspace } from "../demo/workspace.ts";
import { mountOverHttp, RCLONE, startWebServer } from "./cold/http-mount.ts";
import { mountTree, type PublishedTree, startNetwork } from "./dnsmasq/icfs.ts";
import { median, sorted } from "./median.ts";
import { print } from "./result.ts";
import { forgetPeak, type Usage, usageOf } from "./usage.ts";

const MIB = 1024 * 1024;
/** Twice what icfs keeps in memory without options. */
const FILES = 32;
const FILE_MIB = 16;
const READERS = 8;
/** Garbage is collected meanwhile, and caches let go of what they do. */
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

/** Medians of all samples, and the most. @param samples one at least */
function between(samples: readonly Usage[]): Usage {
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

/** Each reader reads files of its own, so that each byte is read once. */
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
  return between(samples);
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
  report(runs);
});

function report(runs: ReadonlyMap<string, readonly Phases[]>): void {
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
        `MiB, ${values.runs} runs: medians of what is resident, the least and the most, and the highest peak of any run (since the mount began,`,
        `or since the readers began); of the resident, what belongs to no file (anonymous), and with shared pages divided (PSS). A tree of ${FILES * FILE_MIB} MiB,`,
        `${READERS} readers, on loopback without delays. What is not said is as it is without options: icfs keeps 256 MiB in memory`,
        "and fetches everything ahead, to disk, also in the first pause; rclone keeps nothing on disk, and buffers 16 MiB for each open file.",
      ].join(" "),
      tables: [
        {
          columns: ["by", "when", "resident", "least", "most", "peak", "anonymous", "PSS", "times rclone"],
          rows,
        },
        { columns: ["by", "s for all of it"], rows: seconds },
      ],
      goals: [],
    },
    values.json,
  );
}
