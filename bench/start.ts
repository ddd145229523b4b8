/**
 * Measures how long short commands take, and how long a mount takes until it is live, beside rclone's: `node bench/start.ts [--runs 9]
 * [--json]`, as root; `make bench-start`. In each run, all are timed in turn. Commands that use no network are timed from start to end. Mounts are
 * timed from the start of the command to its end, when its background process serves the mount, from a network and a web server
 * on this machine.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { run } from "../demo/process.ts";
import { makeWorkspace, type Workspace } from "../demo/workspace.ts";
import { RCLONE, startWebServer } from "./cold/http-mount.ts";
import { type GeneratedNetwork, startGeneratedNetwork } from "./generated-network.ts";
import { median, sorted, spread } from "./median.ts";
import { print, type Table } from "./result.ts";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const ICFS = at("../bin/icfs");
const MAIN = at("../lib/cli/main.ts");
const LISTING = at("../test/support/loaded-modules.ts");
const ID = "oeagv-5qaaa-aaaah-aar4q-cai";
const COMMANDS: readonly (readonly string[])[] = [
  ["--version"],
  ["--help"],
  ["muont"],
  ["url", ID],
  ["example", "nginx", ID],
  ["status"],
  ["cache", "ls"],
  ["mount", "--help"],
  ["ls", "--help"],
  ["publish", "--help"],
];
/** A tree of 1,000 entries. */
const TREE = { directories: 10, filesEach: 99 };
const TIMES_RCLONE = 2;

const { values } = parseArgs({
  options: { runs: { type: "string", default: "9" }, json: { type: "boolean", default: false } },
});

/** Milliseconds. */
interface Taken {
  readonly wall: number;
  /** Processor time of all processes that have ended. */
  readonly processor: number;
}

async function taken(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<Taken> {
  const started = performance.now();
  // bash counts the time of its children in milliseconds. A command may fail, as the misspelt one does.
  const timed = 'TIMEFORMAT="%U %S"; { time "$@" > /dev/null 2> /dev/null; } 2>&1 || :';
  const said = await run("bash", ["-c", timed, "bash", ...command], { env, signal, seconds: 60 });
  const wall = performance.now() - started;
  const [user, system] = said.trim().split(" ").map(Number) as [number, number];
  return { wall, processor: 1000 * (user + system) };
}

/** The number of modules that a command loads, without Node's own parts. */
async function modulesOf(command: readonly string[], { directory, env }: Workspace): Promise<number> {
  const file = join(directory, "loaded.json");
  const own = { ...env, LOADED_MODULES: file };
  await taken([process.execPath, "--import", LISTING, MAIN, ...command], own, AbortSignal.timeout(60_000));
  const { urls }: { urls: string[] } = JSON.parse(await readFile(file, "utf8"));
  return urls.filter((url) => url.startsWith("file:")).length;
}

type Way = "rclone" | "icfs, cold" | "icfs, warm";

/** Mounts and unmounts in each way. */
async function mounts(
  network: GeneratedNetwork,
  web: string,
  { directory, env }: Workspace,
  signal: AbortSignal,
): Promise<Record<Way, Taken>> {
  const host = await mkdtemp(join(directory, "host-"));
  const mountpoint = join(host, "mnt");
  await mkdir(mountpoint);
  const [rclone, ...parameters] = RCLONE(web, mountpoint);
  const own = { ...env, XDG_STATE_HOME: join(host, "state") };
  const icfs = [
    ...[ICFS, "mount", network.canister, mountpoint, "--network", network.url, "--root-key", network.rootKey],
    ...["--cache-dir", join(host, "cache"), "--log-file", join(host, "log"), "--prefetch", "none"],
  ];
  const mounted = async (command: readonly string[]) => {
    const one = await taken(command, own, signal);
    await run("umount", [mountpoint], { env });
    return one;
  };
  const all = {
    rclone: await mounted([rclone, ...parameters, "--daemon"]),
    "icfs, cold": await mounted(icfs),
    "icfs, warm": await mounted(icfs),
  };
  await rm(host, { recursive: true });
  return all;
}

await interruptible("bench", async (signal) => {
  await using stack = new AsyncDisposableStack();
  const workspace = stack.use(await makeWorkspace("icfs-bench"));
  const { directory, env } = workspace;
  const files = join(directory, "files");
  await mkdir(files);
  await writeFile(join(files, "linux"), "");
  const network = stack.use(await startGeneratedNetwork(TREE, 0));
  const { url: web } = await startWebServer(files, workspace, stack, signal);
  const started = new Map<string, Taken[]>();
  const mounted = new Map<string, Taken[]>();
  const note = (all: Map<string, Taken[]>, name: string, one: Taken) =>
    all.set(name, [...(all.get(name) ?? []), one]);
  // The first run fills Node's compile cache, and is not counted.
  for (let i = 0; i <= Number(values.runs); i++) {
    const counts = i > 0;
    const node = await taken([process.execPath, "-e", "0"], env, signal);
    if (counts) note(started, "Node alone: node -e 0", node);
    for (const command of COMMANDS) {
      const one = await taken([ICFS, ...command], env, signal);
      if (counts) note(started, `icfs ${command.join(" ")}`, one);
    }
    for (const [way, one] of Object.entries(await mounts(network, web, workspace, signal))) {
      if (counts) note(mounted, way, one);
    }
  }
  const modules = new Map<string, number>();
  for (const command of COMMANDS)
    modules.set(`icfs ${command.join(" ")}`, await modulesOf(command, workspace));
  report(started, mounted, modules);
});

function report(
  started: ReadonlyMap<string, readonly Taken[]>,
  mounted: ReadonlyMap<string, readonly Taken[]>,
  modules: ReadonlyMap<string, number>,
): void {
  const wall = (all: readonly Taken[]) => sorted(all.map((one) => one.wall));
  const rclone = median(wall(mounted.get("rclone")!));
  const commands: Table = {
    columns: [
      "command",
      "ms, median",
      "least",
      "most",
      "ms of the processor, median",
      "least",
      "most",
      "modules",
    ],
    rows: [...started].map(([name, all]) => [
      name,
      ...spread(wall(all), 0),
      ...spread(sorted(all.map((one) => one.processor)), 0),
      modules.get(name) ?? "",
    ]),
  };
  const mountsTable: Table = {
    columns: ["mount", "ms, median", "least", "most", "times rclone"],
    rows: [...mounted].map(([way, all]) => [
      way,
      ...spread(wall(all), 0),
      (median(wall(all)) / rclone).toFixed(2),
    ]),
  };
  const times = median(wall(mounted.get("icfs, cold")!)) / rclone;
  print(
    {
      title: "The start of a command, and of a mount",
      about: `${values.runs} runs, all in turn in each. Commands from start to end, including bin/icfs, which is a shell script; mounts of a tree of 1,000 entries until the command returns: from a network on this machine with nothing kept (cold), and with what an earlier mount has kept (warm); \`rclone mount --daemon\` of a web server on this machine.`,
      tables: [commands, mountsTable],
      goals: [
        {
          what: "the start of a mount, cold: times rclone's",
          goal: `at most ${TIMES_RCLONE}`,
          measured: times.toFixed(2),
          met: times <= TIMES_RCLONE,
        },
      ],
    },
    values.json,
  );
}
