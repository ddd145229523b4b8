/**
 * What measuring has led to: an earlier commit beside the present program, in turn in one run: `node bench/before.ts [--commit C] [--runs 3]
 * [--json]`, as root; `make bench-before`. Both are measured by the present bench, a first read and a publication; the earlier canister
 * is compiled from its own sources. Wants the repository's history.
 */
import { cp, mkdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { type RunOptions, run } from "../demo/process.ts";
import { makeWorkspace } from "../demo/workspace.ts";
import { median, sorted, spread } from "./median.ts";
import { print, type Result } from "./result.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** The last before anything was mended for the sake of these measurements. */
const BEFORE = "886bfb5";
/** Each takes `--runs` and `--json`; its tables have a name in the first column, and seconds in the second. */
const MEASURED = [["cold", "--ways", "icfs,icfs prefetching"], ["publish"]] as const;
const SECONDS = 600;

const { values } = parseArgs({
  options: {
    commit: { type: "string", default: BEFORE },
    runs: { type: "string", default: "3" },
    json: { type: "boolean", default: false },
  },
});

/** The program as it was, with the present bench, at `directory`. */
async function checkOut(commit: string, directory: string, options: RunOptions): Promise<void> {
  await mkdir(join(directory, "build"), { recursive: true });
  const command = 'git -C "$1" archive "$2" | tar -x -C "$3"';
  await run("bash", ["-o", "pipefail", "-c", command, "bash", ROOT, commit, directory], options);
  for (const ours of ["bench", "demo"]) {
    await rm(join(directory, ours), { recursive: true });
    await cp(join(ROOT, ours), join(directory, ours), { recursive: true });
  }
  await symlink(join(ROOT, "node_modules"), join(directory, "node_modules"));
  const at = (path: string) => join(directory, path);
  const compile = [at("canister/compile.ts"), at("canister/main.mo"), at("build/icfs.wasm")];
  await run(process.execPath, compile, { ...options, seconds: SECONDS });
}

/** Seconds by what was measured. */
async function measure(root: string, options: RunOptions): Promise<Map<string, number>> {
  const seconds = new Map<string, number>();
  for (const [name, ...more] of MEASURED) {
    const args = [join(root, "bench", `${name}.ts`), ...more, "--runs", "1", "--json"];
    const { tables } = JSON.parse(
      await run(process.execPath, args, { ...options, seconds: SECONDS }),
    ) as Result;
    for (const { columns, rows } of tables)
      for (const [what, median] of rows) seconds.set(`${columns[0]}: ${what}`, Number(median));
  }
  return seconds;
}

await interruptible("bench", async (signal) => {
  await using workspace = await makeWorkspace("icfs-bench");
  const options = { env: workspace.env, signal };
  const earlier = join(workspace.directory, "earlier");
  await checkOut(values.commit, earlier, options);
  const taken = { before: [] as Map<string, number>[], now: [] as Map<string, number>[] };
  for (let i = 1; i <= Number(values.runs); i++) {
    console.error(`run ${i} of ${values.runs}`);
    taken.before.push(await measure(earlier, options));
    taken.now.push(await measure(ROOT, options));
  }
  const rows = [...taken.now[0]!.keys()].map((what) => {
    const of = (runs: readonly Map<string, number>[]) => sorted(runs.map((run) => run.get(what)!));
    const [before, now] = [of(taken.before), of(taken.now)];
    return [what, ...spread(before, 2), ...spread(now, 2), (median(before) / median(now)).toFixed(2)];
  });
  const columns = ["s", "before", "least", "most", "now", "least", "most", "before, times now"];
  print(
    {
      title: "What measuring has led to",
      about: `The program of commit ${values.commit}, with its own canister and local network, and the present one, measured in turn as above, ${values.runs} runs of each.`,
      tables: [{ columns, rows }],
      goals: [],
    },
    values.json,
  );
});
