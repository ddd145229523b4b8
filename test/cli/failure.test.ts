/** Error messages contain names and texts from strangers, which must not reach the terminal unescaped. */
import t from "tap";
import { describe } from "../../lib/cli/failure.ts";
import { UserError } from "../../lib/errors.ts";

t.test("escape sequences are shown, not obeyed, and lines stay lines", async (t) => {
  const error = new UserError("cannot be published:\n  a\u001b[2J\u009b1mb: no\r such\u0007 file");
  t.equal(describe(error), "cannot be published:\n  a\\x1b[2J\\x9b1mb: no\\x0d such\\x07 file");
  t.equal(describe("\u001bc"), "\\x1bc");
});

t.test("a bug is reported as a bug, with its place in the code", async (t) => {
  for (const kind of [TypeError, RangeError, ReferenceError]) {
    t.match(describe(new kind("x is\u001b[0m no function")), /^unexpected error, please report it: /);
    t.match(
      describe(new kind("x is\u001b[0m no function")),
      /\\x1b\[0m no function\n +at .*failure\.test\.ts/,
    );
  }
  t.equal(describe(new Error("plain")), "plain");
});
