/** Environment variables of options without a value. */

import { Command } from "commander";
import t from "tap";
import { flag } from "../../lib/cli/options.ts";

/** The option's value, with this value in its variable, and these arguments. */
function parsed(variable: string | undefined, args: readonly string[], standard?: boolean): unknown {
  if (variable === undefined) delete process.env.ICFS_SOME_FLAG;
  else process.env.ICFS_SOME_FLAG = variable;
  const command = new Command().addOption(flag("--some-flag", "what it does", standard));
  if (standard !== undefined) command.option("--no-some-flag", "and its opposite");
  return command.parse([...args], { from: "user" }).opts().someFlag;
}

t.test("a variable sets yes or no, and the command line overrides both", async (t) => {
  t.equal(parsed(undefined, []), undefined);
  t.equal(parsed(undefined, ["--some-flag"]), true);
  t.equal(parsed(undefined, [], true), true);
  for (const yes of ["yes", "true", "1"]) t.equal(parsed(yes, []), true, yes);
  for (const no of ["no", "false", "0"]) {
    t.equal(parsed(no, []), false, no);
    t.equal(parsed(no, [], true), false, `${no} overrides the default`);
    t.equal(parsed(no, ["--some-flag"]), true, `the command line overrides ${no}`);
  }
  t.equal(parsed("", [], true), true, "an empty variable counts as not set");
  t.equal(parsed("yes", ["--no-some-flag"], true), false);
  t.throws(() => parsed("maybe", []), {
    name: "UserError",
    message: 'ICFS_SOME_FLAG is "maybe": set it to yes or no',
  });
});
