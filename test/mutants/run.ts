/**
 * Do the tests notice? Puts small faults (fault.ts) into a copy of this checkout, one at a time, and runs the tests that should
 * notice. A fault is noticed when one of its tests fails which passes without the fault.
 *
 *     node test/mutants/run.ts [--jobs N] [NAME...]     as root; default: all faults, one after the other
 *
 * The exit code is 1 unless every fault was noticed. A fault that no longer applies has to be written again, since its lines have
 * changed. The copy includes changes that are not committed yet.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Checkout, type Ended } from "./checkout.ts";
import { type Fault, readFaults } from "./fault.ts";

/** Seconds for a test file without a fault. */
const LIMIT = 600;
/** With a fault, a test hangs when it takes this many times as long as without, and these seconds more. */
const SLOWER = 5;
const MORE = 60;

const VERDICTS = {
  noticed: "noticed",
  hangs: "noticed: it hangs",
  missed: "NOT NOTICED",
  outdated: "DOES NOT APPLY",
  broken: "TEST FAILS WITHOUT IT",
} as const;
type Verdict = keyof typeof VERDICTS;

interface Found {
  readonly verdict: Verdict;
  readonly what: readonly string[];
}

const root = fileURLToPath(new URL("../../", import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { jobs: { type: "string", default: "1" } },
});
const faults = chosen(readFaults(fileURLToPath(new URL(".", import.meta.url))), positionals);
const interrupted = new AbortController();
const { signal } = interrupted;
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => interrupted.abort());
const directory = mkdtempSync(join(tmpdir(), "icfs-mutants-"));
// Some tests read files as nobody.
chmodSync(directory, 0o755);
/** How the test files end without a fault. */
const usual = new Map<string, Promise<Ended>>();
try {
  process.exitCode = (await allNoticed(Number(values.jobs))) ? 0 : 1;
} catch (error) {
  if (!signal.aborted) throw error;
  process.exitCode = 130;
} finally {
  rmSync(directory, { recursive: true, force: true });
}

function chosen(all: readonly Fault[], names: readonly string[]): readonly Fault[] {
  const unknown = names.filter((name) => !all.some((fault) => fault.name === name));
  if (unknown.length > 0) throw new Error(`there is no fault ${unknown.join(", ")}`);
  return names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
}

async function allNoticed(jobs: number): Promise<boolean> {
  const counts = { noticed: 0, hangs: 0, missed: 0, outdated: 0, broken: 0 };
  const left = faults.values();
  const work = async (_: unknown, job: number) => {
    const checkout = await Checkout.copy(root, join(directory, String(job)));
    for (const fault of left) {
      const { verdict, what } = await tried(checkout, fault);
      counts[verdict] += 1;
      console.log([fault.name.padEnd(36), VERDICTS[verdict], ...what].join("  "));
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: jobs }, work));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  const noticed = counts.noticed + counts.hangs;
  console.log(
    `${noticed} of ${faults.length} faults noticed, ${counts.missed} not; ${counts.outdated} do not apply, ${counts.broken} have tests that fail without them`,
  );
  return noticed === faults.length;
}

/** Runs the tests of a fault until one of them notices it. @throws the signal's reason */
async function tried(checkout: Checkout, fault: Fault): Promise<Found> {
  for (const test of fault.tests) {
    const without = await usually(checkout, test);
    if (!without.passed) return { verdict: "broken", what: [describe(test, without)] };
    const limit = MORE + SLOWER * without.seconds;
    let ended: Ended;
    try {
      ended = await checkout.withFault(fault, () => checkout.test(test, limit, signal), signal);
    } catch (error) {
      signal.throwIfAborted();
      return { verdict: "outdated", what: [fault.file, (error as Error).message] };
    }
    if (!ended.passed) return { verdict: ended.hung ? "hangs" : "noticed", what: [describe(test, ended)] };
  }
  return { verdict: "missed", what: [...fault.tests, fault.harm] };
}

/** Runs a test file without a fault, once. */
function usually(checkout: Checkout, test: string): Promise<Ended> {
  let ended = usual.get(test);
  if (ended === undefined) {
    ended = checkout.test(test, LIMIT, signal);
    usual.set(test, ended);
  }
  return ended;
}

function describe(test: string, { seconds, failure }: Ended): string {
  return `${test} (${seconds.toFixed(1)} s): ${failure}`;
}
