/** Tests that go on from one another. tap's own `bail` would end the whole run, and the other files in it. */
import type { Test } from "tap";

/** t.test() for tests each of which needs what came before: once one has failed, those after it fail at once. */
export function inOrder(t: Test): (name: string, work: (t: Test) => Promise<unknown>) => Promise<unknown> {
  let isBroken = false;
  return (name, work) =>
    t.test(name, async (t) => {
      if (isBroken) {
        t.fail("what it needs has failed");
        return;
      }
      // Also if it throws.
      isBroken = true;
      await work(t);
      isBroken = !t.passing();
    });
}
