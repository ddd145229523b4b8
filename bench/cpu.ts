/**
 * Measures the processor time for a verified MiB, beside @icp-sdk/core as its users use it, and how much of a first read is
 * verification: `node bench/cpu.ts [--runs 5] [--json]`. Both ways in turn, each time in a process of its own, so that the
 * network's work and the other way's are not counted.
 */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { run } from "../demo/process.ts";
import { makeWorkspace } from "../demo/workspace.ts";
import type { Cost, Fetched } from "./cpu/fetch.ts";
import { startNetwork } from "./dnsmasq/icfs.ts";
import { median, sorted, spread } from "./median.ts";
import { print } from "./result.ts";

const MIB = 1024 * 1024;
const FILE_MIB = 64;
const LATENCY_MS = 80;
const MIB_PER_SECOND = 50;
/** Shares of the general way's processor time, and of a first read's time. */
const MOST_OF_GENERAL = 0.5;
const MOST_FOR_VERIFYING = 0.1;

const { values } = parseArgs({
  options: { runs: { type: "string", default: "5" }, json: { type: "boolean", default: false } },
});

await interruptible("bench", async (signal) => {
  await using stack = new AsyncDisposableStack();
  const { directory, env } = stack.use(await makeWorkspace("icfs-bench"));
  const tree = join(directory, "tree");
  await mkdir(tree);
  await writeFile(join(tree, "file"), randomBytes(FILE_MIB * MIB));
  const weather = ["--latency", String(LATENCY_MS), "--bandwidth", String(MIB_PER_SECOND)];
  const { url, canister } = await startNetwork(tree, weather, stack, { env, signal });
  const script = new URL("cpu/fetch.ts", import.meta.url).pathname;
  const fetched: Record<"icfs" | "general", Fetched[]> = { icfs: [], general: [] };
  for (let i = 0; i < Number(values.runs); i++) {
    for (const way of ["icfs", "general"] as const) {
      const one: Fetched = JSON.parse(
        await run(process.execPath, [script, way, url, canister], { env, signal, seconds: 60 }),
      );
      fetched[way].push(one);
      console.error(`${way}: ${(one.again.cpuMs / one.mebibytes).toFixed(2)} ms of CPU a MiB`);
    }
  }

  const perMebibyte = (way: keyof typeof fetched) =>
    sorted(fetched[way].map(({ again, mebibytes }) => again.cpuMs / mebibytes));
  const [ours, general] = [perMebibyte("icfs"), perMebibyte("general")];
  const ratio = median(ours) / median(general);
  const cold = fetched.icfs.map((one) => one.cold!);
  const of = (what: (one: (typeof cold)[number]) => number) => sorted(cold.map(what));
  const verifying = (one: (typeof cold)[number], unit: keyof Cost) => one.bls[unit] + one.hashes[unit];
  const share = (unit: keyof Cost) => of((one) => (100 * verifying(one, unit)) / one[unit]);
  const ofTime = share("ms");
  const line = (name: string, what: (one: (typeof cold)[number], unit: keyof Cost) => number) => [
    name,
    ...spread(
      of((one) => what(one, "cpuMs")),
      0,
    ),
    ...spread(
      of((one) => what(one, "ms")),
      0,
    ),
  ];
  print(
    {
      title: "CPU",
      about: `${FILE_MIB} chunks of 1 MiB from a local network, ${LATENCY_MS} ms and ${MIB_PER_SECOND} MiB/s away, 16 at once; each way in a process of its own, in turn, ${values.runs} runs. The general way is an Actor of @icp-sdk/core, which checks a node's signature and no hash. A first read is everything from the certificate to the last chunk, before V8 has optimized any code; its hashes are measured one after the other, its signatures where they are checked.`,
      tables: [
        {
          columns: ["way", "ms of CPU a MiB, median", "least", "most", "of the general way"],
          rows: [
            ["icfs", ...spread(ours, 2), ratio.toFixed(2)],
            ["Actor, IDL, signature", ...spread(general, 2), "1.00"],
          ],
        },
        {
          columns: ["of a first read", "ms of CPU, median", "least", "most", "ms, median", "least", "most"],
          rows: [
            line("all", (one, unit) => one[unit]),
            line("SHA-256", (one, unit) => one.hashes[unit]),
            line("BLS signatures", (one, unit) => one.bls[unit]),
          ],
        },
        {
          columns: ["verifying, % of a first read's", "median", "least", "most"],
          rows: [
            ["time", ...spread(ofTime, 1)],
            ["CPU", ...spread(share("cpuMs"), 1)],
          ],
        },
      ],
      goals: [
        {
          what: "CPU for a verified MiB, of the general way's",
          goal: `at most ${MOST_OF_GENERAL}`,
          measured: ratio.toFixed(2),
          met: ratio <= MOST_OF_GENERAL,
        },
        {
          what: "verifying (hashes and BLS), % of a first read's time",
          goal: `at most ${100 * MOST_FOR_VERIFYING}`,
          measured: median(ofTime).toFixed(1),
          met: median(ofTime) <= 100 * MOST_FOR_VERIFYING,
        },
      ],
    },
    values.json,
  );
});
