/**
 * Publishing over a line as the main network's: 80 ms away, 1.5 s for each update call, 4 MiB/s, which is about what a subnet takes in: `node
 * bench/publish.ts [--runs 3] [--json]`, as any user; `make bench-publish`. A tree of 64 MiB, the same again with a sixteenth of it
 * changed, and again with nothing changed; and the first over a line without limits, to see what else bounds it.
 */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { deploy, publish } from "../demo/icfs.ts";
import { interruptible } from "../demo/interruptible.ts";
import { Process } from "../demo/process.ts";
import { makeWorkspace, type Workspace } from "../demo/workspace.ts";
import { median } from "./median.ts";

const ICFS = new URL("../bin/icfs", import.meta.url).pathname;
const MIB = 1024 * 1024;
const LATENCY_MS = 80;
const MIB_PER_SECOND = 4;
const FAR = ["--latency", `${LATENCY_MS}`, "--update-latency", "1500", "--bandwidth", `${MIB_PER_SECOND}`];
const FILES = 16;
const FILE_MIB = 4;
const WAYS = ["all of it", "a sixteenth", "nothing"] as const;

const { values } = parseArgs({
  options: { runs: { type: "string", default: "3" }, json: { type: "boolean", default: false } },
});

/** Publishes a tree, changes a file and publishes, and publishes again. The seconds that each took. */
async function publications(
  weather: readonly string[],
  workspace: Workspace,
  signal: AbortSignal,
): Promise<number[]> {
  const { directory, env } = workspace;
  await using localnet = new Process(ICFS, ["localnet", "--port", "0", ...weather], env);
  const [, url] = await localnet.until(/(http:\/\/[\d.]+:\d+)\s/, { seconds: 30, signal });
  const canister = await deploy("oeagv-5qaaa-aaaah-aar4q-cai", url!, { env, signal });
  const tree = join(directory, "tree");
  await mkdir(tree, { recursive: true });
  const renew = (file: number) => writeFile(join(tree, `file-${file}`), randomBytes(FILE_MIB * MIB));
  for (let file = 0; file < FILES; file++) await renew(file);
  const taken: number[] = [];
  for (const way of WAYS) {
    if (way === "a sixteenth") await renew(0);
    const started = performance.now();
    await publish(tree, canister, url!, { env, signal });
    taken.push((performance.now() - started) / 1000);
  }
  return taken;
}

await interruptible("bench", async (signal) => {
  await using workspace = await makeWorkspace("icfs-bench");
  const [far, near]: [number[][], number[][]] = [[], []];
  for (let i = 0; i < Number(values.runs); i++) {
    far.push(await publications(FAR, workspace, signal));
    near.push(await publications([], workspace, signal));
  }
  if (values.json) {
    console.log(JSON.stringify({ ways: WAYS, far, near }));
    return;
  }
  const sent = [FILES * FILE_MIB, FILE_MIB, 0];
  console.log("| published | s, median | least | most | the line's own time | s without a line |");
  console.log("|---|---|---|---|---|---|");
  for (const [i, way] of WAYS.entries()) {
    const of = (runs: number[][]) => runs.map((run) => run[i]!).sort((a, b) => a - b);
    const sorted = of(far);
    const figures = [median(sorted), sorted[0]!, sorted.at(-1)!, sent[i]! / MIB_PER_SECOND];
    const cells = [...figures, median(of(near))].map((value) => value.toFixed(2));
    console.log(`| ${way} | ${cells.join(" | ")} |`);
  }
});
