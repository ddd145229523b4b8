/**
 * Long computations in small steps: a generator that yields now and then, so that a process that serves readers can
 * run it without making them wait. (A worker would not help: receiving its result costs as much as computing it.)
 */
import { setImmediate as others } from "node:timers/promises";

/** Runs a computation to its end, as a plain function would. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

/** Lets other waiting work run first: for loops over awaits that may all resolve at once. */
export function letOthers(): Promise<void> {
  return others();
}

/** Runs a computation to its end, and lets other waiting work run at each yield. */
export async function inSteps<T>(work: Generator<void, T>): Promise<T> {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    await others();
  }
}

/** Items that are sorted, or merged, between two pauses: a millisecond or two, for paths. */
const SORTED_PER_STEP = 1000;

/** Array.prototype.toSorted(), in steps: 100,000 paths take a quarter of a second. Stable. */
export function* sorting<T>(items: readonly T[], compare: (a: T, b: T) => number): Generator<void, T[]> {
  let runs: T[][] = [];
  for (let at = 0; at < items.length; at += SORTED_PER_STEP) {
    runs.push(items.slice(at, at + SORTED_PER_STEP).sort(compare));
    yield;
  }
  while (runs.length > 1) {
    const longer: T[][] = [];
    for (let i = 0; i < runs.length; i += 2)
      longer.push(yield* merging(runs[i]!, runs[i + 1] ?? [], compare));
    runs = longer;
  }
  return runs[0] ?? [];
}

function* merging<T>(
  a: readonly T[],
  b: readonly T[],
  compare: (a: T, b: T) => number,
): Generator<void, T[]> {
  const merged: T[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const isFirst = j === b.length || (i < a.length && compare(a[i]!, b[j]!) <= 0);
    merged.push(isFirst ? a[i++]! : b[j++]!);
    if (merged.length % SORTED_PER_STEP === 0) yield;
  }
  return merged;
}
