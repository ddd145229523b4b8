/** A clock that stands still until a test has it move on: for deadlines, pauses and what counts for a while. */
import { syncBuiltinESMExports } from "node:module";
import { mock } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Test } from "tap";

export interface Clock {
  /** Has so many milliseconds pass, one by one, with all that comes of each. */
  pass(milliseconds: number): Promise<void>;
  /** Has them pass at once, where nothing is to happen meanwhile: hours take no longer than a moment. */
  skip(milliseconds: number): void;
}

/** Stops Date, performance.now() and the timers of this process, until the end of the test. What reads or writes goes on by itself. */
export function stopClock(t: Test): Clock {
  const { now } = performance;
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: Date.now() });
  const offset = now.call(performance) - Date.now();
  performance.now = () => Date.now() + offset;
  // Named imports of node:timers/promises are the stopped ones as well.
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
    skip: (milliseconds) => mock.timers.tick(milliseconds),
  };
}
