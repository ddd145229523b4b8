/**
 * Measures publishing over a line like the main network's: 80 ms away, 1.5 s per update call, and 4 MiB/s, about what a subnet
 * accepts: `node bench/publish.ts [--runs 3] [--json]`, as any user; `make bench-publish` as root. It publishes a tree of 64 MiB,
 * again with a sixteenth of it changed, and again with nothing changed; and all that over a line without limits too, which shows what
 * else limits publishing. Over that line, it also measures what the pages for HTTP add (publish/pages.ts).
 */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { deploy } from "../demo/icfs.ts";
import { interruptible } from "../demo/interruptible.ts";
import { Process, run } from "../demo/process.ts";
import { makeWorkspace, type Workspace } from "../demo/workspace.ts";
import { median, sorted, spread } from "./median.ts";
import { countingProxy } from "./publish/counting-proxy.ts";
import { type PagesTaken, pagesTable, publishPages } from "./publish/pages.ts";
import { print, type Result } from "./result.ts";
import { processorTime } from "./usage.ts";

const ICFS = new URL("../bin/icfs", import.meta.url).pathname;
const MIB = 1024 * 1024;
const LATENCY_MS = 80;
const UPDATE_MS = 1500;
const MIB_PER_SECOND = 4;
const FAR = [
  ["--latency", LATENCY_MS],
  ["--update-latency", UPDATE_MS],
  ["--bandwidth", MIB_PER_SECOND],
].flatMap(([name, value]) => [`${name}`, `${value}`]);
const FILES = 16;
const FILE_MIB = 4;
const WAYS = ["all of it", "a sixteenth", "nothing"] as const;
const SENT_MIB = [FILES * FILE_MIB, FILE_MIB, 0] as const;
/** Goals: the share of the line that is used, and the round trips of publishing an unchanged tree. */
const SHARE = 0.8;
const ROUND_TRIPS = 3;

interface Taken {
  readonly seconds: number;
  /** Seconds of processor time of `icfs publish` and of the network. */
  readonly publisher: number;
  readonly network: number;
}

interface Publications {
  /** One for each of WAYS. */
  readonly taken: readonly Taken[];
  /** Of one more publication, of an unchanged tree. */
  readonly roundTrips: number;
}

const { values } = parseArgs({
  options: { runs: { type: "string", default: "3" }, json: { type: "boolean", default: false } },
});

/** Publishes a tree, changes a file and publishes, and publishes again. */
async function publications(
  weather: readonly string[],
  { directory, env }: Workspace,
  signal: AbortSignal,
): Promise<Publications> {
  await using localnet = new Process(ICFS, ["localnet", "--port", "0", ...weather], env);
  const [, url] = await localnet.until(/(http:\/\/[\d.]+:\d+)\s/, { seconds: 30, signal });
  await using proxy = await countingProxy(url!);
  const canister = await deploy("oeagv-5qaaa-aaaah-aar4q-cai", url!, { env, signal });
  const tree = join(directory, "tree");
  await mkdir(tree, { recursive: true });
  const renew = (file: number) => writeFile(join(tree, `file-${file}`), randomBytes(FILE_MIB * MIB));
  for (let file = 0; file < FILES; file++) await renew(file);

  const publish = async (network: string): Promise<Taken> => {
    const before = await processorTime(localnet.pid!);
    const started = performance.now();
    // The shell prints its children's processor time on the last line.
    const command = [ICFS, "publish", tree, canister, "--network", network, "--json"];
    const script = ['"$@" && times', "sh", ...command];
    const output = await run("sh", ["-c", ...script], { env, signal, seconds: 180 });
    const seconds = (performance.now() - started) / 1000;
    return {
      seconds,
      publisher: secondsIn(output.trim().split("\n").at(-1)!),
      network: (await processorTime(localnet.pid!)) - before,
    };
  };
  const taken: Taken[] = [];
  for (const way of WAYS) {
    if (way === "a sixteenth") await renew(0);
    taken.push(await publish(url!));
  }
  await publish(proxy.url);
  return { taken, roundTrips: proxy.roundTrips() };
}

/** The sum of "0m1.23s 0m0.45s", as the shell's `times` prints it. */
function secondsIn(times: string): number {
  return Array.from(times.matchAll(/(\d+)m([\d.]+)s/g)).reduce(
    (sum, [, minutes, seconds]) => sum + 60 * Number(minutes) + Number(seconds),
    0,
  );
}

function resultOf(
  far: readonly Publications[],
  near: readonly Publications[],
  pages: readonly PagesTaken[],
): Result {
  const of = (runs: readonly Publications[], way: number, what: keyof Taken) =>
    sorted(runs.map(({ taken }) => taken[way]![what]));
  const shares = SENT_MIB.map((mib, way) => mib / MIB_PER_SECOND / median(of(far, way, "seconds")));
  const trips = Math.max(...far.map(({ roundTrips }) => roundTrips));
  /** Over the line without limits, the busy share of the machine's processors. */
  const busy = (way: number) => {
    const all = near.map(({ taken }) => taken[way]!);
    return median(
      sorted(all.map(({ seconds, publisher, network }) => (publisher + network) / seconds / cpus().length)),
    );
  };
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
  return {
    title: "Publishing",
    about: `A tree of ${FILES} files of ${FILE_MIB} MiB is published from another process on this machine, the program's start included, over a line of ${MIB_PER_SECOND} MiB/s, ${LATENCY_MS} ms away, where an update call takes ${UPDATE_MS / 1000} s (about what a subnet of the main network accepts), and over a line without limits; medians of ${far.length}, in turn. The share of the line depends on the size of the tree: the program's start, the last chunk's update call and the one that makes the release take the same time for every tree, and nearly all of the time for a small change.`,
    tables: [
      {
        columns: ["published", "s, median", "least", "most", "the line's own time, s", "share of the line"],
        rows: WAYS.map((way, i) => [
          way,
          ...spread(of(far, i, "seconds"), 2),
          (SENT_MIB[i]! / MIB_PER_SECOND).toFixed(2),
          SENT_MIB[i] === 0 ? "" : percent(shares[i]!),
        ]),
      },
      {
        columns: [
          "without a line",
          "s, median",
          "least",
          "most",
          "processor time of the publisher, s",
          "of the network, s",
          "together, of the processors'",
        ],
        rows: WAYS.map((way, i) => [
          way,
          ...spread(of(near, i, "seconds"), 2),
          median(of(near, i, "publisher")).toFixed(2),
          median(of(near, i, "network")).toFixed(2),
          percent(busy(i)),
        ]),
      },
      pagesTable(pages),
    ],
    goals: [
      {
        what: `a tree of ${SENT_MIB[0]} MiB, of which nothing is there: share of the line, from the program's start to its end`,
        goal: `at least ${percent(SHARE)}`,
        measured: percent(shares[0]!),
        met: shares[0]! >= SHARE,
      },
      {
        what: "a tree that is there: round trips, one after the other, the root key's of a local network included",
        goal: `at most ${ROUND_TRIPS}`,
        measured: `${trips}`,
        met: trips <= ROUND_TRIPS,
      },
    ],
  };
}

await interruptible("bench", async (signal) => {
  await using workspace = await makeWorkspace("icfs-bench");
  const [far, near, pages]: [Publications[], Publications[], PagesTaken[]] = [[], [], []];
  for (let i = 1; i <= Number(values.runs); i++) {
    console.error(`run ${i} of ${values.runs}`);
    far.push(await publications(FAR, workspace, signal));
    near.push(await publications([], workspace, signal));
    pages.push(await publishPages(workspace, signal));
  }
  print(resultOf(far, near, pages), values.json);
});
