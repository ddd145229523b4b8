import t from "tap";
import { stackOf } from "./stack.ts";

t.test("each that fails at its end says so", async (t) => {
  const ends: (() => unknown)[] = [];
  const stack = stackOf({ teardown: (handler: () => unknown) => void ends.push(handler) });
  for (const what of ["one", "two", "three"]) {
    stack.defer(() => {
      throw new Error(what);
    });
  }
  await t.rejects(async () => ends[0]?.(), { message: "one\nand before it: two\nand before it: three" });
});
