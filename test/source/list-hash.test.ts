import { createHash } from "node:crypto";
import t from "tap";
import { hashingList } from "../../lib/source/list-hash.ts";
import { atOnce } from "../../lib/steps.ts";

t.test("the hash is SHA-256 of all lines, computed in steps", async (t) => {
  for (const [length, least] of [
    [0, 0],
    [1, 0],
    [500, 1],
    [12_345, 20],
  ] as const) {
    const lines = Array.from({ length }, (_, i) => `line ${i}\n`);
    const expected = createHash("sha256").update(lines.join("")).digest();
    t.same(atOnce(hashingList(lines)), expected, `${length} lines`);
    let steps = 0;
    for (const work = hashingList(lines); !work.next().done; ) steps += 1;
    t.ok(steps >= least, `${steps} steps`);
  }
});
