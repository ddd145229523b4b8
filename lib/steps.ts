/**
 * Long computations in small steps: a generator that yields now and then, so that a process which serves readers can
 * run it without making them wait. (A worker would not help: taking over what it made costs as much as making it.)
 */
import { setImmediate as others } from "node:timers/promises";

/** Runs it to its end, as a plain function would. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

/** Lets everything else that is waiting go first: for loops that wait for things which may all be here already. */
export function letOthers(): Promise<void> {
  return others();
}

/** Runs it to its end, and lets everything else that is waiting go first at each yield. */
export async function inSteps<T>(work: Generator<void, T>): Promise<T> {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    await others();
  }
}
