/**
 * Measures a whole PXE boot from a distant canister, beside one from a local directory: `node bench/boot.ts [--runs 3] [--json]`,
 * as root; `make bench-boot`. In each run a machine boots in each way in turn, to the installer's first screen: from a directory in
 * memory (tmpfs), and from mounts of the same tree. The emulated machine's own work could hide differences, so curl reads the
 * same files from the same dnsmasq as well.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { mountsBelow, run } from "../demo/process.ts";
import { secondsSince } from "../demo/report.ts";
import { makeTree } from "../demo/tree.ts";
import { makeWorkspace, type Workspace } from "../demo/workspace.ts";
import { sizeText } from "../lib/units.ts";
import { type BootTimes, bootFrom, readFrom } from "./boot/measure.ts";
import { mountTree, type PublishedTree, startNetwork } from "./dnsmasq/icfs.ts";
import { median, sorted, spread } from "./median.ts";
import { type Goal, print, type Result, type Table } from "./result.ts";

const LATENCY_MS = "80";
const MIB_PER_SECOND = "50";
const INITRD = "debian-installer/amd64/initrd.gz";

interface Way {
  /** Options of `icfs mount`; undefined: the directory itself. */
  readonly mount: readonly string[] | undefined;
  /** The goal: a whole boot takes at most this many times as long as from the local directory. */
  readonly most?: number;
}

/** The way that all others are compared with. */
const LOCAL = "a local directory";
const WAYS: Readonly<Record<string, Way>> = {
  [LOCAL]: { mount: undefined },
  "icfs, cold": { mount: [], most: 1.3 },
  "icfs, cold, no prefetching": { mount: ["--prefetch", "none"], most: 1.3 },
  "icfs, all fetched": { mount: ["--ready", "hydrated"], most: 1.05 },
};

interface Taken extends BootTimes {
  /** Seconds that `icfs mount` took: before the boot, and before curl. Empty for the local directory. */
  readonly mounts: readonly number[];
  /** Seconds that curl took for the same files. */
  readonly curl: number;
}

interface Place {
  readonly workspace: Workspace;
  readonly local: string;
  readonly published: PublishedTree;
  readonly signal: AbortSignal;
}

const { values } = parseArgs({
  options: { runs: { type: "string", default: "3" }, json: { type: "boolean", default: false } },
});

/** Does the work with a fresh TFTP root of this kind. @returns the result, and the seconds that mounting took */
async function withRoot<T>(
  { mount }: Way,
  { workspace, local, published, signal }: Place,
  work: (root: string) => Promise<T>,
): Promise<{ result: T; mounting: number[] }> {
  if (mount === undefined) return { result: await work(local), mounting: [] };
  await using stack = new AsyncDisposableStack();
  const started = performance.now();
  const { mountpoint } = await mountTree(published, mount, workspace, stack, { env: workspace.env, signal });
  const mounting = [secondsSince(started)];
  return { result: await work(mountpoint), mounting };
}

async function take(way: Way, place: Place): Promise<Taken> {
  const options = {
    env: place.workspace.env,
    signal: place.signal,
    namespace: `icfs-bench-${process.pid}`,
    last: INITRD,
  };
  const booted = await withRoot(way, place, (root) => bootFrom(root, options));
  const read = await withRoot(way, place, (root) => readFrom(root, booted.result.names, options));
  return { ...booted.result, curl: read.result, mounts: [...booted.mounting, ...read.mounting] };
}

/** One line per way: seconds, and the ratio to the local directory in the same run. */
function table(what: string, taken: ReadonlyMap<string, Taken[]>, of: (taken: Taken) => number): Table {
  return {
    columns: [what, "s, median", "least", "most", "times local, median", "least", "most"],
    rows: Array.from(taken, ([way, all]) => [
      way,
      ...spread(sorted(all.map(of)), 2),
      ...spread(ratios(taken, way, of), 3),
    ]),
  };
}

/** The ratios to the local directory, each within one run. Sorted. */
function ratios(taken: ReadonlyMap<string, Taken[]>, way: string, of: (taken: Taken) => number): number[] {
  return sorted(taken.get(way)!.map((one, i) => of(one) / of(taken.get(LOCAL)![i]!)));
}

function resultOf(taken: ReadonlyMap<string, Taken[]>): Result {
  const all = [...taken.values()].flat();
  const { names, bytes } = all[0]!;
  const before = sorted(all.map(({ before }) => before));
  const mounting: Table = {
    columns: ["`icfs mount`, before it", "s, median", "least", "most"],
    rows: Array.from(taken, ([way, some]) => [way, sorted(some.flatMap(({ mounts }) => mounts))] as const)
      .filter(([, seconds]) => seconds.length > 0)
      .map(([way, seconds]) => [way, ...spread(seconds, 2)]),
  };
  const goals = Object.entries(WAYS).flatMap(([way, { most }]): Goal[] => {
    if (most === undefined) return [];
    const measured = median(ratios(taken, way, ({ whole }) => whole));
    return [
      {
        what: `a whole boot, ${way}: times that from ${LOCAL}`,
        goal: `at most ${most}`,
        measured: measured.toFixed(3),
        met: measured <= most,
      },
    ];
  });
  return {
    title: "A whole PXE boot",
    about:
      `An emulated machine (QEMU without KVM) boots Debian's installer from dnsmasq: ${names.length} files, ${sizeText(bytes)}, by ` +
      `TFTP, from a directory in memory and from mounts of a canister ${LATENCY_MS} ms and ${MIB_PER_SECOND} MiB/s away, each mounted just ` +
      `before with nothing kept from earlier. ${values.runs} runs, each way in turn in each. By default a mount fetches its release on its own ` +
      `(--prefetch all) from when it is there; the machine asks for its first file ${median(before).toFixed(1)} s after power-on.`,
    tables: [
      table("a whole boot, to the installer's screen", taken, ({ whole }) => whole),
      table("of it, TFTP", taken, ({ tftp }) => tftp),
      table("after it, which is the machine alone", taken, ({ after }) => after),
      table("the same files read by curl", taken, ({ curl }) => curl),
      mounting,
    ],
    goals,
  };
}

await interruptible("bench", async (signal) => {
  if (process.getuid?.() !== 0) throw new Error("this needs root: it makes network namespaces and mounts");
  await using stack = new AsyncDisposableStack();
  const workspace = stack.use(await makeWorkspace("icfs-bench"));
  const { directory, env } = workspace;
  const local = join(directory, "local");
  await mkdir(local);
  await run("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", local]);
  stack.defer(async () => {
    if (mountsBelow(local).length > 0) await run("umount", [local]);
  });
  await makeTree(local);
  const weather = ["--latency", LATENCY_MS, "--bandwidth", MIB_PER_SECOND];
  const published = await startNetwork(local, weather, stack, { env, signal });
  const taken = new Map<string, Taken[]>(Object.keys(WAYS).map((way) => [way, []]));
  for (let i = 0; i < Number(values.runs); i++) {
    for (const [name, way] of Object.entries(WAYS)) {
      const one = await take(way, { workspace, local, published, signal });
      const first = taken.get(LOCAL)![0] ?? one;
      if (one.names.join() !== first.names.join())
        throw new Error(`${name}: the machine read ${one.names}, not ${first.names}`);
      taken.get(name)!.push(one);
      const seconds = [one.whole, one.before, one.tftp, one.after, one.curl].map((value) => value.toFixed(2));
      console.error(`${name}: whole, before, TFTP, after, curl: ${seconds.join(", ")} s`);
    }
  }
  print(resultOf(taken), values.json);
});
