/** A clock that stands still until a test advances it, for deadlines, pauses and expiry times. */
import { syncBuiltinESMExports } from "node:module";
import { mock } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Test } from "tap";

export interface Clock {
  /** Advances by this many milliseconds, one by one, with everything that happens then. */
  pass(milliseconds: number): Promise<void>;
  /** Advances in one step, where nothing should happen in between: hours take only a moment. */
  jump(milliseconds: number): void;
}

/** Stops Date, performance.now() and the timers of this process until the end of the test. Input and output go on. */
export function stopClock(t: Test): Clock {
  const { now } = performance;
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: Date.now() });
  const offset = now.call(performance) - Date.now();
  performance.now = () => Date.now() + offset;
  // Makes named imports of node:timers/promises use the stopped clock as well.
  syncBuiltinESMExports();
  t.teardown(() => {
    mock.timers.reset();
    performance.now = now;
    syncBuiltinESMExports();
  });
  return {
    async pass(milliseconds) {
      for (let passed = 0; passed < milliseconds; passed++) {
        mock.timers.tick(1);
        await turn();
      }
    },
    jump: (milliseconds) => mock.timers.tick(milliseconds),
  };
}

/** Stops performance.now() alone, until the end of the test. @returns a function that lets milliseconds pass */
export function stillClock(t: Test): (milliseconds: number) => void {
  let now = performance.now();
  t.intercept(performance, "now", { value: () => now });
  return (milliseconds) => {
    now += milliseconds;
  };
}
