import t from "tap";
import { stackOf } from "./stack.ts";

t.test("every error of the clean-up is reported", async (t) => {
  const ends: (() => unknown)[] = [];
  const stack = stackOf({ teardown: (handler: () => unknown) => void ends.push(handler) });
  for (const what of ["one", "two", "three"]) {
    stack.defer(() => {
      throw new Error(what);
    });
  }
  await t.rejects(async () => ends[0]?.(), { message: "one\nand before it: two\nand before it: three" });
});
