/** Names of users and groups, as this host knows them. */
import { execFileSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import t from "tap";
import { numberOf } from "../../lib/process/accounts.ts";
import { temporaryDirectory } from "../support/icfs.ts";

t.test("names of users and groups are looked up as nsswitch.conf says", async (t) => {
  t.equal(numberOf("user", "root"), 0);
  t.equal(numberOf("user", "nobody"), Number(execFileSync("id", ["-u", "nobody"], { encoding: "utf8" })));
  t.equal(numberOf("group", "nogroup"), Number(execFileSync("id", ["-g", "nobody"], { encoding: "utf8" })));
  for (const name of ["no-such-user-here", "größe"]) {
    t.throws(() => numberOf("user", name), {
      message: `there is no user "${name}" on this host (getent passwd ${name})`,
    });
    t.throws(() => numberOf("group", name), { message: /^there is no group "/ });
  }
  for (const name of ["", "-1", "--help", "a:b", "a b", "a\n"]) {
    t.throws(() => numberOf("user", name), {
      name: "UserError",
      message: `"${name}" is not a name of a user`,
    });
  }
});

t.test("a lookup fails with the reason when getent is missing or fails", async (t) => {
  const directory = await temporaryDirectory(t);
  const path = process.env.PATH;
  t.teardown(() => {
    process.env.PATH = path;
  });
  process.env.PATH = directory;
  t.throws(() => numberOf("user", "root"), { message: /^cannot look up the user "root": .*ENOENT/ });
  const getent = join(directory, "getent");
  for (const [script, message] of [
    ["exit 1", /^cannot look up the user "root": getent passwd root ended with 1$/],
    ["echo root:x:zero:0", /^cannot look up the user "root": getent passwd root ended with 0$/],
  ] as const) {
    writeFileSync(getent, `#!/bin/sh\n${script}\n`);
    chmodSync(getent, 0o755);
    process.env.PATH = [directory, path].join(delimiter);
    t.throws(() => numberOf("user", "root"), { message });
  }
  writeFileSync(getent, "#!/bin/sh\necho 'DOM\\\\user:*:3000000000:513::/:'\n");
  t.equal(numberOf("user", "DOM\\user"), 3_000_000_000, "a domain's");
});
