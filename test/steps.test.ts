/** Long computations in small steps give the same results as in one go. */
import fc from "fast-check";
import t from "tap";
import { atOnce, inSteps, sorting } from "../lib/steps.ts";

t.test("sorting gives the result of toSorted(), is stable, and pauses", async (t) => {
  const items = fc.array(fc.tuple(fc.nat({ max: 50 }), fc.nat()), { maxLength: 5000, size: "max" });
  const compare = (a: readonly [number, number], b: readonly [number, number]) => a[0] - b[0];
  fc.assert(
    fc.property(items, (items) => {
      const expected = items.toSorted(compare);
      const sorted = atOnce(sorting(items, compare));
      if (sorted.some((item, i) => item !== expected[i])) throw new Error("another order");
    }),
    { numRuns: 20 },
  );
  const many = Array.from({ length: 20_000 }, (_, i) => (i * 7919) % 20_000);
  const before = [...many];
  let turns = 0;
  const work = sorting(many, (a, b) => a - b);
  while (work.next().done !== true) turns += 1;
  // Twenty runs, and five merges of all elements.
  t.ok(turns >= 20 + 4 * 20, `${turns} turns`);
  t.strictSame(many, before, "the input is left unchanged");
  t.strictSame((await inSteps(sorting(many, (a, b) => a - b))).slice(0, 3), [0, 1, 2]);
});
