/**
 * Runs every measurement, one after another, and writes bench/RESULTS.md:
 * `node bench/all.ts [--runs N] [--minutes N] [NAME...]`, as root; `make bench`. --minutes is how long the soak takes. With names, only
 * those are run, and the page keeps the earlier results of the others. bench/results keeps each result, with the machine, the commit
 * and the command.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { interruptible } from "../demo/interruptible.ts";
import { commitOf, describeMachine } from "./machine.ts";
import type { Result } from "./result.ts";
import { type Measurement, resultsPage } from "./results-page.ts";

/** In the order of the page. Each is bench/NAME.ts, which describes what it measures. */
const NAMES = [
  "cold",
  "warm",
  "boot",
  "start",
  "ready",
  "publish",
  "cpu",
  "carrier",
  "memory",
  "soak",
  "dnsmasq",
  "ledger",
  "http",
  "http-boot",
  "site",
  "costs",
  "instructions",
] as const;
/** These do not take `--runs`: they count, or take a given time. */
const ONCE: readonly string[] = ["soak", "dnsmasq", "site", "costs", "instructions"];

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const resultFile = (name: string) => at(`results/${name}.json`);

const { values, positionals } = parseArgs({
  options: { runs: { type: "string" }, minutes: { type: "string" } },
  allowPositionals: true,
});
const unknown = positionals.find((name) => !(NAMES as readonly string[]).includes(name));
if (unknown !== undefined)
  throw new Error(`no measurement is called ${unknown}; there are ${NAMES.join(", ")}`);

/** Runs one measurement in a process of its own. @throws Error when it fails; the signal's reason, once the process has cleaned up */
async function measure(name: string, signal: AbortSignal): Promise<Measurement> {
  const options = values.runs === undefined || ONCE.includes(name) ? [] : ["--runs", values.runs];
  if (name === "soak" && values.minutes !== undefined) options.push("--minutes", values.minutes);
  const started = new Date();
  // In a process group of its own: Ctrl-C in a terminal reaches this process, which ends that one and waits for it.
  const child = spawn(process.execPath, [at(`${name}.ts`), ...options, "--json"], {
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const interrupt = () => child.kill("SIGINT");
  signal.addEventListener("abort", interrupt);
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  const [code] = await once(child, "close");
  signal.removeEventListener("abort", interrupt);
  signal.throwIfAborted();
  if (code !== 0) throw new Error(`${name} failed (exit code ${code})`);
  return {
    command: ["node", `bench/${name}.ts`, ...options].join(" "),
    date: started.toISOString().slice(0, 10),
    minutes: Math.ceil((Date.now() - started.getTime()) / 60_000),
    commit: await commitOf(),
    machine: await describeMachine(),
    result: JSON.parse(stdout) as Result,
  };
}

/** The kept results, in the page's order. */
async function keptMeasurements(): Promise<Measurement[]> {
  const texts = await Promise.all(
    NAMES.map((name) => readFile(resultFile(name), "utf8").catch(() => undefined)),
  );
  return texts.flatMap((text) => (text === undefined ? [] : [JSON.parse(text) as Measurement]));
}

await interruptible("bench", async (signal) => {
  await mkdir(at("results"), { recursive: true });
  const failed: string[] = [];
  for (const name of positionals.length > 0 ? positionals : NAMES) {
    console.error(`\n== ${name}`);
    try {
      await writeFile(resultFile(name), `${JSON.stringify(await measure(name, signal), null, 2)}\n`);
      await writeFile(at("RESULTS.md"), resultsPage(await keptMeasurements()));
    } catch (error) {
      signal.throwIfAborted();
      console.error(String(error));
      failed.push(name);
    }
  }
  console.error(`\n${at("RESULTS.md")}`);
  if (failed.length > 0) throw new Error(`not measured: ${failed.join(", ")}`);
});
