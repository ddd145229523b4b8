/** CONTRIBUTING.md: the make targets, directories and places that it names exist, and its command to run one test runs one. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";
import { HUNG, run } from "../support/icfs.ts";
import { ROOT } from "../support/imports.ts";
import { plain } from "../support/plain.ts";

const read = (name: string) => readFile(join(ROOT, name), "utf8");
const text = await read("CONTRIBUTING.md");

t.test("each make target that is named exists, and make lists it", async (t) => {
  const targets = [...(await read("Makefile")).matchAll(/^([a-z-]+):.*## /gm)].map(([, target]) => target!);
  const named = [...text.matchAll(/(?:`|^)make ([a-z-]+)/gm)].map(([, target]) => target!);
  t.ok(named.length > 8);
  for (const target of new Set(named)) t.ok(targets.includes(target), `make ${target}`);
});

t.test("each directory has a line in the table, and each line a directory", async (t) => {
  const git = await promisify(execFile)(...plain("git", ["ls-tree", "-d", "--name-only", "HEAD"]), {
    cwd: ROOT,
  });
  const directories = git.stdout.trim().split("\n");
  const rooms = [...text.matchAll(/^\| ([a-z/, ]+\/) \|/gm)].flatMap(([, names]) => names!.split(", "));
  t.same(
    rooms.sort(),
    directories
      .filter((name) => !name.startsWith("."))
      .map((name) => `${name}/`)
      .sort(),
  );
});

t.test("COMMANDS, Source and SourceKind are in the files that are named for them", async (t) => {
  for (const [name, file] of [
    ["COMMANDS", "lib/cli/program.ts"],
    ["interface Source", "lib/source/source.ts"],
    ["SourceKind", "lib/source/detect.ts"],
  ] as const) {
    t.match(await read(file), name);
    t.match(text, file);
  }
});

t.test("the command for one test runs it", async (t) => {
  const [setUp, one] = [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, commands]) => commands!);
  // test/clean/newcomer.ts runs this command, in a clean Debian.
  t.equal(setUp, "make setup\n");
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(TAP|NODE_OPTIONS)/.test(name)),
  );
  const { code, stdout } = await run("bash", ["-euc", one!], {
    env: { ...env, PWD: ROOT },
    cwd: ROOT,
    limit: HUNG,
  });
  t.equal(code, 0, one!, { stdout });
  t.match(stdout, "test/units.test.ts");
});
