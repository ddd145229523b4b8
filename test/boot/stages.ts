/** The stages of a boot as a test's results. */
import type { Test } from "tap";
import type { DoStage } from "../../demo/boot.ts";

/** Passes for each stage that is reached; one that is not throws. */
export function reporting(t: Test): DoStage {
  return async (name, work, tell) => {
    const started = performance.now();
    const result = await work();
    t.pass(`${name}, ${((performance.now() - started) / 1000).toFixed(1)} s: ${tell(result)}`);
    return result;
  };
}
