/**
 * Runs real mounts under readers for half an hour to see whether anything grows: `node bench/soak.ts [--minutes 30] [--json]`, as
 * root; `make soak`. It sleeps most of the time, ends by itself, and leaves nothing behind.
 *
 * A canister on a local network is mounted over either transport, with caches smaller than the tree, so that chunks come and go,
 * in memory and on disk; beside them rclone mounts the same tree from a web server. Each mount has four readers that check every
 * byte. Every minute there is another release; every three minutes the network and the web server fall silent, in turn for 5 s
 * and for longer than the time limit of a read.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import pLimit from "p-limit";
import { interruptible } from "../demo/interruptible.ts";
import { makeWorkspace } from "../demo/workspace.ts";
import { mountOverHttp, RCLONE, startWebServer } from "./cold/http-mount.ts";
import { mountTree, startNetwork } from "./dnsmasq/icfs.ts";
import { type Goal, print } from "./result.ts";
import { growthOf, RULE } from "./soak/growth.ts";
import { LARGE, SMALL, writeFiles } from "./soak/tree.ts";
import { QUANTITIES, type Seen, Watched } from "./soak/watched.ts";

const TRANSPORTS = ["kernel", "fuse-native"] as const;
/** Seconds between releases, and between silences; a short run is divided into ten instead. */
const MOST_RELEASE_SECONDS = 60;
const MOST_FAULT_SECONDS = 180;
/** The lengths of outages, in turn. The last is longer than `--read-timeout`. */
const SILENCES_SECONDS = [5, 5, 15];
/** Milliseconds after a silence in which reads may still fail: a read's deadline, and the time until the breaker closes. */
const AFTERMATH_MS = 15_000;
/** Samples in a whole run, and the longest time between two in seconds. */
const SAMPLES = 60;
const MOST_SAMPLE_SECONDS = 30;
/** The share of the run that counts as warm-up. */
const WARM_UP = 1 / 3;
const DISK_MIB = 64;
/** The limit applies to what has been written; files still being written come on top. */
const BEING_WRITTEN_MIB = 8;
const OPTIONS = [
  ...["--memory", "32MiB", "--max-cache-size", `${DISK_MIB}MiB`, "--prefetch", "none"],
  ...["--refresh", "20s", "--quiet", "5s", "--switch-within", "20s"],
];
/** How much of the tree a release renews. */
const RENEWED = { large: 2, small: 3 };

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "30" }, json: { type: "boolean", default: false } },
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error(`--minutes ${values.minutes}: not a number of minutes`);

/** Repeats the work, starting every `seconds`, until `ending`. */
async function every(seconds: number, ending: AbortSignal, work: (turn: number) => Promise<void>) {
  for (let turn = 0; ; turn++) {
    await sleep(seconds * 1000, undefined, { signal: ending }).catch(() => {});
    if (ending.aborted) return;
    await work(turn);
  }
}

/** A time in which reads may fail: milliseconds since 1970. */
interface Outage {
  readonly from: number;
  readonly to: number;
}

/** Stops processes for a while: requests get no answer until they continue. */
async function silence(pids: readonly number[], seconds: number, ending: AbortSignal): Promise<Outage> {
  const from = Date.now();
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  try {
    await sleep(seconds * 1000, undefined, { signal: ending }).catch(() => {});
  } finally {
    for (const pid of pids) process.kill(pid, "SIGCONT");
  }
  return { from, to: Date.now() };
}

await interruptible("bench", async (signal) => {
  await using stack = new AsyncDisposableStack();
  const workspace = stack.use(await makeWorkspace("icfs-bench"));
  const { directory, env } = workspace;
  const tree = join(directory, "tree");
  await mkdir(tree);
  await writeFiles(tree, [...LARGE, ...SMALL], 1);
  const network = await startNetwork(tree, [], stack, { env, signal });
  const web = await startWebServer(tree, workspace, stack, signal);

  const mounts = [];
  for (const transport of TRANSPORTS) {
    const more = [...OPTIONS, "--transport", transport];
    mounts.push(await mountTree(network, more, workspace, stack, { env, signal }));
  }
  const rclone = await mountOverHttp(RCLONE, web.url, workspace, stack, signal);
  const watched = [
    ...mounts.map((mount, i) => new Watched(`icfs, ${TRANSPORTS[i]}`, mount, "releases", stack, env)),
    new Watched("rclone", rclone, "files", stack, env),
  ];

  const failed = new AbortController();
  const ending = AbortSignal.any([signal, failed.signal, AbortSignal.timeout(minutes * 60_000)]);
  const tenth = (minutes * 60) / 10;
  const sampleSeconds = Math.min(MOST_SAMPLE_SECONDS, (minutes * 60) / SAMPLES);
  const outages: Outage[] = [];
  // Publishing must not start during a silence: it would fail at once.
  const alone = pLimit(1);
  let releases = 1;
  const work = [
    every(sampleSeconds, ending, async () => {
      for (const one of watched) await one.sample();
      const figures = watched.map(
        ({ name, samples }) => `${name} ${samples.at(-1)!["anonymous memory, MiB"]!.toFixed(0)} MiB`,
      );
      console.error(`release ${releases}, ${outages.length} silences: ${figures.join(", ")}`);
    }),
    every(Math.min(MOST_RELEASE_SECONDS, tenth), ending, async (turn) => {
      const some = <T>(all: readonly T[], count: number) =>
        Array.from({ length: count }, (_, i) => all[(turn * count + i) % all.length]!);
      await writeFiles(tree, [...some(LARGE, RENEWED.large), ...some(SMALL, RENEWED.small)], releases + 1);
      releases = await alone(() => network.publish());
    }),
    every(Math.min(MOST_FAULT_SECONDS, tenth), ending, async (turn) => {
      const seconds = SILENCES_SECONDS[turn % SILENCES_SECONDS.length]!;
      outages.push(await alone(() => silence([network.pid, web.pid], seconds, ending)));
    }),
  ];
  try {
    await Promise.all(work);
  } finally {
    failed.abort();
    await Promise.allSettled(work);
  }
  signal.throwIfAborted();
  const seen = await Promise.all(watched.map((one) => one.end()));
  const live = await Promise.all(mounts.map((mount) => mount.end()));
  report(
    watched,
    seen,
    outages,
    `${releases} releases (live at the end: ${live.join(" and ")})`,
    sampleSeconds,
  );
});

function report(
  watched: readonly Watched[],
  seen: readonly Seen[],
  outages: readonly Outage[],
  releases: string,
  sampleSeconds: number,
): void {
  const [rows, goals]: [(string | number)[][], Goal[]] = [[], []];
  for (const { name, samples } of watched) {
    const growing: string[] = [];
    const warm = samples.slice(Math.round(samples.length * WARM_UP));
    for (const quantity of QUANTITIES) {
      const values = warm.map((sample) => sample[quantity]).filter((value) => value !== undefined);
      if (values.length === 0) continue;
      const { first, last, rise, deviation, grows } = growthOf(values);
      const most = Math.max(...values);
      const figures = [first, last, most, rise, deviation].map((value) => value.toFixed(1));
      rows.push([name, quantity, ...figures, grows ? "**grows**" : "no"]);
      if (grows) growing.push(quantity);
    }
    if (name === "rclone") continue;
    const measured = growing.length === 0 ? "nothing" : growing.join(", ");
    goals.push({ what: `${name}: what grows`, goal: "nothing", measured, met: growing.length === 0 });
    const disk = Math.max(...samples.map((sample) => sample["cache on disk, MiB"]!));
    goals.push({
      what: `${name}: cache on disk, MiB`,
      goal: `at most ${DISK_MIB}, and ${BEING_WRITTEN_MIB} that are being written`,
      measured: disk.toFixed(1),
      met: disk <= DISK_MIB + BEING_WRITTEN_MIB,
    });
  }
  const excused = (since: number) =>
    outages.some(({ from, to }) => since > from - AFTERMATH_MS && since < to + AFTERMATH_MS);
  const reads = watched.map(({ name }, i) => {
    const { opens, bytes, troubles } = seen[i]!;
    const others = troubles.filter(({ since, what }) => what !== "EIO" || !excused(since));
    if (name !== "rclone") {
      const first = others[0] === undefined ? "" : `: ${others[0].path}: ${others[0].what}`;
      const what = `${name}: wrong bytes, and reads that failed while there was a network`;
      goals.push({ what, goal: "none", measured: `${others.length}${first}`, met: others.length === 0 });
    }
    return [name, opens, (bytes / 1024 ** 3).toFixed(1), troubles.length - others.length, others.length];
  });
  const silent = outages.reduce((sum, { from, to }) => sum + (to - from) / 1000, 0);
  print(
    {
      title: "A soak under readers",
      about: [
        `${minutes} min, a sample every ${sampleSeconds} s, ${releases}, ${outages.length} silences of ${silent.toFixed(0)} s together.`,
        `The first third is warm-up. Of the rest, the table shows the medians of its first and last third, the most, and what the rule needs: ${RULE}.`,
      ].join(" "),
      tables: [
        {
          columns: ["served by", "what", "first", "last", "most", "rise", "deviation", "grows"],
          rows,
        },
        {
          columns: ["served by", "opens", "GiB read", "failed in a silence", "wrong, or failed else"],
          rows: reads,
        },
      ],
      goals,
    },
    values.json,
  );
}
