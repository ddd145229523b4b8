import t from "tap";
import { sealing, unseal } from "../../lib/source/sealed.ts";
import { atOnce } from "../../lib/steps.ts";

t.test("a sealed list of any length is read back", async (t) => {
  for (const length of [0, 1, 499, 500, 501, 1000, 1234]) {
    const items = Array.from({ length }, (_, i) => [`name "${i}"`, i, null, { ä: "\u2028" }]);
    const bytes = atOnce(sealing({ at: "now", proof: null }, "files", items));
    t.same(unseal(bytes), { at: "now", proof: null, files: items }, `${length} items`);
  }
});

t.test("damage is noticed, wherever it is", async (t) => {
  const bytes = atOnce(sealing({ at: "now" }, "files", ["one", "two"]));
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Buffer.from(bytes);
    damaged[at]! ^= 1;
    t.throws(() => unseal(damaged), { name: "FormatError" }, `byte ${at}`);
  }
  t.throws(() => unseal(bytes.subarray(0, -1)), { name: "FormatError" });
  t.throws(() => unseal(Buffer.alloc(0)), { name: "FormatError" });
});

t.test("a long list is sealed in steps, and each item is made when it is needed", async (t) => {
  let made = 0;
  function* items() {
    for (; made < 10_000; made++) yield made;
  }
  const work = sealing({ at: "now" }, "files", items());
  work.next();
  t.ok(made < 1000, `${made} items made at first`);
  let steps = 1;
  for (let step = work.next(); !step.done; step = work.next()) steps += 1;
  t.ok(steps >= 10, `${steps} steps`);
});
