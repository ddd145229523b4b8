import t from "tap";
import { retrying } from "../lib/retry.ts";

t.test("the first success is the result", async (t) => {
  let attempts = 0;
  const result = await retrying(
    async () => {
      attempts += 1;
      if (attempts < 3) throw new Error("again");
      return "done";
    },
    { firstPause: 1, longestPause: 2, again: () => true },
  );
  t.equal(result, "done");
  t.equal(attempts, 3);
});

t.test("`again` decides after each error; pauses double, with jitter, up to the longest", async (t) => {
  const pauses: number[] = [];
  const errors: unknown[] = [];
  let attempt = 0;
  const work = retrying(
    () => {
      attempt += 1;
      throw new Error(`attempt ${attempt}`);
    },
    {
      firstPause: 2,
      longestPause: 10,
      again: (error, attempts, pause) => {
        t.equal(attempts, attempt);
        errors.push(error);
        pauses.push(pause);
        return attempts < 6;
      },
    },
  );
  await t.rejects(work, { message: "attempt 6" }, "the last attempt's error is the one reported");
  t.equal(errors.length, 6);
  for (const [i, length] of [2, 4, 8, 10, 10, 10].entries()) {
    t.ok(pauses[i]! >= length / 2 && pauses[i]! < length * 1.5, `pause ${i}: ${pauses[i]} of ${length}`);
  }
  t.not(new Set(pauses.slice(3)).size, 1, "jitter makes equally long pauses differ");
});

t.test("no second attempt is made when `again` says no", async (t) => {
  let attempts = 0;
  const work = retrying(
    async () => {
      attempts += 1;
      throw new Error("final");
    },
    { firstPause: 1, longestPause: 1, again: () => false },
  );
  await t.rejects(work, { message: "final" });
  t.equal(attempts, 1);
});

t.test("an error may ask for a longer pause", async (t) => {
  const pauses: number[] = [];
  const work = retrying(
    async () => {
      throw new Error(pauses.length === 1 ? "longer" : "as usual");
    },
    {
      firstPause: 2,
      longestPause: 2,
      leastPause: (error) => ((error as Error).message === "longer" ? 20 : 0),
      again: (_, attempts, pause) => {
        pauses.push(pause);
        return attempts < 3;
      },
    },
  );
  await t.rejects(work, { message: "as usual" });
  t.ok(pauses[0]! < 3);
  t.ok(pauses[1]! >= 20 && pauses[1]! <= 30, `a pause of ${pauses[1]}, at least 20`);
  t.ok(pauses[2]! < 3, "the pause after that is short again");
});

t.test("an abort signal ends a pause", async (t) => {
  const ending = new AbortController();
  let attempts = 0;
  const work = retrying(
    async () => {
      attempts += 1;
      setImmediate(() => ending.abort());
      throw new Error("again");
    },
    { firstPause: 1e8, longestPause: 1e8, again: () => true, signal: ending.signal },
  );
  await t.rejects(work, { name: "AbortError" });
  t.equal(attempts, 1);
});
