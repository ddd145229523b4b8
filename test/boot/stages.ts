/** The stages of a boot as a test's results. */
import type { Test } from "tap";
import type { DoStage } from "../../demo/boot.ts";

/** Reports each stage as a result, with its outcome, such as what the machine printed. A stage that is not reached throws. */
export function reporting(t: Test): DoStage {
  return async (name, work, tell) => {
    const started = performance.now();
    const result = await work();
    t.ok(result, `${name}, ${((performance.now() - started) / 1000).toFixed(1)} s: ${tell(result)}`);
    return result;
  };
}
