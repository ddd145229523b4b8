/**
 * Reading a far tree for the first time, beside what people would use instead of icfs: `node bench/cold.ts [--runs 5] [--json]`, as
 * root; `make bench-cold`. All ways in turn, in each run, at 80 ms and 50 MiB/s: `icfs localnet` and a web server that is as far away.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { Process } from "../demo/process.ts";
import { makeWorkspace } from "../demo/workspace.ts";
import { type Far, WAYS } from "./cold/ways.ts";
import { startNetwork } from "./dnsmasq/icfs.ts";
import { median } from "./median.ts";

const MIB = 1024 * 1024;
const LATENCY_MS = "80";
const MIB_PER_SECOND = "50";

/** What is read, one file after the other. */
const LOADS = {
  "a file of 64 MiB": { files: 1, bytes: 64 * MIB },
  "250 files of 10 KB": { files: 250, bytes: 10_000 },
};

const { values } = parseArgs({
  options: { runs: { type: "string", default: "5" }, json: { type: "boolean" } },
});

interface Line {
  readonly load: string;
  readonly way: string;
  readonly seconds: readonly number[];
}

await interruptible("bench", async (signal) => {
  await using stack = new AsyncDisposableStack();
  const workspace = stack.use(await makeWorkspace("icfs-bench"));
  const { directory, env } = workspace;
  const lines: Line[] = [];
  for (const [load, { files: count, bytes }] of Object.entries(LOADS)) {
    const tree = join(directory, `tree-${count}`);
    await mkdir(tree);
    const files = Array.from({ length: count }, (_, i) => `file-${String(i).padStart(3, "0")}`);
    const hash = createHash("sha256");
    for (const file of files) {
      const content = randomBytes(bytes);
      hash.update(content);
      await writeFile(join(tree, file), content);
    }
    const sha256 = hash.digest("hex");
    const weather = ["--latency", LATENCY_MS, "--bandwidth", MIB_PER_SECOND];
    await using servers = new AsyncDisposableStack();
    const published = await startNetwork(tree, weather, servers, { env, signal });
    const script = new URL("cold/web-server.ts", import.meta.url).pathname;
    const server = servers.use(
      new Process(process.execPath, [script, tree, LATENCY_MS, MIB_PER_SECOND], env),
    );
    const [, web] = await server.until(/(http:\S+)\s/, { seconds: 10, signal });
    const far: Far = { workspace, signal, published, web: web! };
    const seconds = new Map<string, number[]>(Object.keys(WAYS).map((way) => [way, []]));
    for (let i = 0; i < Number(values.runs); i++) {
      for (const [way, read] of Object.entries(WAYS)) {
        const taken = await read(far, files);
        if (taken.sha256 !== undefined && taken.sha256 !== sha256) throw new Error(`${way}: wrong bytes`);
        seconds.get(way)!.push(taken.seconds);
        if (!values.json) console.error(`${load}, ${way}: ${taken.seconds.toFixed(2)} s`);
      }
    }
    for (const [way, all] of seconds) lines.push({ load, way, seconds: all.sort((a, b) => a - b) });
  }
  if (values.json) console.log(JSON.stringify(lines));
  else console.log(table(lines));
});

function table(lines: readonly Line[]): string {
  const rows = ["| read | by | median, s | least | most | times icfs |", "|---|---|---|---|---|---|"];
  for (const { load, way, seconds } of lines) {
    const first = lines.find((line) => line.load === load)!;
    const figures = [median(seconds), seconds[0]!, seconds.at(-1)!].map((value) => value.toFixed(2));
    const ratio = (median(seconds) / median(first.seconds)).toFixed(2);
    rows.push(`| ${load} | ${way} | ${figures.join(" | ")} | ${ratio} |`);
  }
  return rows.join("\n");
}
