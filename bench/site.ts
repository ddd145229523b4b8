/**
 * Simulates a site whose hosts all fetch one release: from the IC, through one nginx, and from two levels of `icfs serve`: `node
 * bench/site.ts [--hosts 10,40,100,1000] [--plot FILE] [--json]`; `make bench-site`. Time, lines and servers are simulated
 * (bench/site/); each host runs the code of a mount, which verifies what arrives. So this counts requests, and its times are
 * those of the given lines, however slow this machine is. `--validate` compares its counts with ten real readers behind a real
 * nginx.
 */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import pLimit from "p-limit";
import { interruptible } from "../demo/interruptible.ts";
import { makeWorkspace } from "../demo/workspace.ts";
import { type Goal, print, type Result, type Table, tableInMarkdown } from "./result.ts";
import { plot } from "./site/plot.ts";
import type { Outcome, Scenario, Way } from "./site/simulate.ts";
import { validate } from "./site/validate.ts";

const SIMULATE = fileURLToPath(new URL("site/simulate.ts", import.meta.url));
/** Bytes of an outcome, which includes the log. */
const MOST_OUTPUT = 16 * 1024 * 1024;

const WAYS: Readonly<Record<Way, string>> = {
  none: "each from the IC",
  nginx: "one nginx",
  serve: "two levels of icfs serve",
};

const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "10,40,100,1000" },
    /** The size of the tree. */
    mib: { type: "string", default: "16" },
    scale: { type: "string", default: "32" },
    /** Seconds within which all hosts start. */
    spread: { type: "string", default: "10" },
    /** Megabits per second of the site's line. */
    uplink: { type: "string", default: "1000" },
    /** Milliseconds of a round trip to the IC. */
    "round-trip": { type: "string", default: "80" },
    /** Requests per second that the IC accepts from the site, where it is assumed to limit them. */
    limit: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
    plot: { type: "string" },
    validate: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const hostCounts = values.hosts.split(",").map(Number);
const most = Math.max(...hostCounts);
const limit = Number(values.limit);

const common: Omit<Scenario, "way" | "hosts"> = {
  mebibytes: Number(values.mib),
  scale: Number(values.scale),
  spread: Number(values.spread),
  uplink: Number(values.uplink),
  roundTrip: Number(values["round-trip"]),
  follow: 5,
  seed: Number(values.seed),
};

const processes = pLimit(availableParallelism());

/** Simulates in a process of its own. Simulations start in the order in which they were requested. */
function simulated(way: Way, hosts: number, more: Partial<Scenario> = {}): Promise<Outcome> {
  return processes(async () => {
    const scenario: Scenario = { ...common, ...more, way, hosts };
    const args = [SIMULATE, JSON.stringify(scenario)];
    const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: MOST_OUTPUT });
    const outcome = JSON.parse(stdout) as Outcome;
    console.error(`${WAYS[way]}, ${hosts} hosts: ${outcome.seconds.toFixed(0)} s`);
    return outcome;
  });
}

if (values.validate) {
  await compareWithReality();
  process.exit();
}

/**
 * Compares ten real readers behind a real nginx with a simulation of the same.
 *
 * @throws Error when there is no nginx: scripts/setup.sh bench unpacks it
 */
async function compareWithReality(): Promise<void> {
  const hosts = 10;
  const line = { mebibytes: common.mebibytes, roundTrip: common.roundTrip, uplink: common.uplink };
  await interruptible("bench", async (signal) => {
    await using stack = new AsyncDisposableStack();
    const workspace = stack.use(await makeWorkspace("icfs-site"));
    const real = await validate(hosts, line, workspace, stack, signal);
    const { ic, byIc, chunks, ready } = await simulated("nginx", hosts, { spread: 0, follow: 0 });
    const table: Table = {
      columns: [
        `${hosts} hosts`,
        "chunks",
        "requests by nginx",
        "of these for the head",
        "chunks by the IC",
        "all ready, s",
      ],
      rows: [
        ["real", real.chunks, real.byNginx, real.heads, real.byIc, real.seconds.toFixed(1)],
        ["simulated", chunks, ic.questions - ic.byHosts, ic.heads, byIc, ready.all.toFixed(1)],
      ],
    };
    console.log(tableInMarkdown(table));
  });
}

/** The servers are warm before the hosts start; cold servers are measured separately. */
const growing = (["none", "nginx", "serve"] as const).map(
  async (way) =>
    [
      way,
      await Promise.all(
        hostCounts.map((hosts) => simulated(way, hosts, way === "serve" ? { isWarm: true } : {})),
      ),
    ] as const,
);

const questions: readonly (readonly [string, Promise<Outcome>])[] = [
  ["one nginx, all start at once", simulated("nginx", most, { spread: 0, follow: 0 })],
  ["one nginx, all start within a minute", simulated("nginx", most, { spread: 60, follow: 0 })],
  ["one nginx, killed when half has arrived", simulated("nginx", most, { isKilled: true, follow: 0 })],
  [
    `the same, and the IC takes ${limit} questions a second`,
    simulated("nginx", most, { isKilled: true, limit, follow: 0 }),
  ],
  [
    `each from the IC, which takes ${limit} questions a second`,
    simulated("none", most, { limit, follow: 0 }),
  ],
  ["two levels of icfs serve, which start with the hosts", simulated("serve", most, { follow: 0 })],
];
const outcomes = new Map<Way, readonly Outcome[]>(await Promise.all(growing));
const asked = await Promise.all(questions.map(async ([name, outcome]) => ({ name, outcome: await outcome })));

const all = [...outcomes.values()].flat();
const { chunks, mebibytes } = all[0]!;
const figures = ({ ic, ready, byIc, scenario: { hosts } }: Outcome) => [
  ic.questions,
  ic.byHosts,
  ic.mebibytes.toFixed(0),
  (ic.mebibytes / mebibytes).toFixed(2),
  ic.refused,
  `${((100 * byIc) / (hosts * chunks)).toFixed(1)} %`,
  ready.half.toFixed(1),
  ready.all.toFixed(1),
];
const COLUMNS = [
  "questions at the IC",
  "of these by hosts",
  "MiB from the IC",
  "times the tree",
  "refused (429)",
  "chunks not by the cache",
  "half of the hosts ready, s",
  "all ready, s",
];
const growth: Table = {
  columns: ["", "hosts", ...COLUMNS, "questions for the head in a minute, later"],
  rows: all.map((outcome) => [
    WAYS[outcome.scenario.way],
    outcome.scenario.hosts,
    ...figures(outcome),
    outcome.headsAMinute.toFixed(1),
  ]),
};
const details: Table = {
  columns: [`${most} hosts`, ...COLUMNS],
  rows: asked.map(({ name, outcome }) => [name, ...figures(outcome)]),
};

const last = (way: Way) => outcomes.get(way)!.at(-1)!;
const goals: Goal[] = (["nginx", "serve"] as const).flatMap((way) => {
  const { ic, headsAMinute, scenario } = last(way);
  const what = `${scenario.hosts} hosts, ${WAYS[way]}`;
  return [
    goal(`${what}: MiB from the IC, times the tree`, 1.05, ic.mebibytes / mebibytes),
    goal(`${what}: questions for the head in a minute, later`, 6.2, headsAMinute),
  ];
});

function goal(what: string, most: number, measured: number): Goal {
  return { what, goal: `at most ${most}`, measured: measured.toFixed(2), met: measured <= most };
}

const result: Result = {
  title: "A site of a thousand hosts, simulated",
  about: `All hosts start cold within ${values.spread} s, and fetch a tree of ${values.mib} MiB in ${chunks} chunks. The site's line has ${values.uplink} Mbit/s and a round trip of ${values["round-trip"]} ms to the IC, a host's card 1,000 Mbit/s, nginx's and the first \`icfs serve\`'s 10,000; there is one \`icfs serve\` of the second level, with 1,000 Mbit/s, for each 100 hosts, and two at least. Time, lines and servers are simulated, and a byte stands for ${values.scale}; hosts run the code of a mount. Nothing here depends on this machine.`,
  tables: [growth, details],
  goals,
};
if (values.plot !== undefined) {
  const curves = (figure: (outcome: Outcome) => number) =>
    [...outcomes].map(([way, some]) => ({
      name: WAYS[way],
      points: some.map((outcome) => [outcome.scenario.hosts, figure(outcome)] as const),
    }));
  const about = `Questions at the IC, and seconds until all hosts are ready, by the number of hosts`;
  await writeFile(
    values.plot,
    plot(
      [
        { title: "Questions at the IC", curves: curves(({ ic }) => ic.questions) },
        { title: "Seconds until all are ready", curves: curves(({ ready }) => ready.all) },
      ],
      about,
    ),
  );
}
print(result, values.json);
