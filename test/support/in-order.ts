/** Tests that depend on each other. tap's own `bail` would end the whole run with its other files. */
import type { Test } from "tap";

/** t.test() for tests that need the results of the previous ones: once one has failed, the following ones fail at once. */
export function inOrder(t: Test): (name: string, work: (t: Test) => Promise<unknown>) => Promise<unknown> {
  let isBroken = false;
  return (name, work) =>
    t.test(name, async (t) => {
      if (isBroken) {
        t.fail("an earlier test, which this one needs, has failed");
        return;
      }
      // Until the test has ended: it may throw.
      isBroken = true;
      await work(t);
      isBroken = !t.passing();
    });
}
