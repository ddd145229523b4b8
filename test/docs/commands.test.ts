/** That each command in the documents for those who run hosts is run by a test, which reads it there. */
import { glob, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { blocksOf, commandsIn } from "../support/documented.ts";

const TESTS = fileURLToPath(new URL("..", import.meta.url));

/** As `documented("DOCUMENT", "HEADING")` in a test. */
const run = new Set<string>();
for await (const name of glob("**/*.{test,long,boot,clean}.ts", { cwd: TESTS })) {
  const source = await readFile(`${TESTS}/${name}`, "utf8");
  for (const [, document, heading] of source.matchAll(/documented\(\s*"([^"]+)",\s*"([^"]+)",?\s*\)/g)) {
    run.add(`${document}: ${heading}`);
  }
}

const commands = new Set<string>();
for (const document of ["OPERATIONS.md", "TROUBLESHOOTING.md", "HTTP.md", "SITES.md", "ROLLOUTS.md"]) {
  t.test(`${document}: its blocks`, async (t) => {
    const shell = (await blocksOf(document)).filter(({ language }) => language === "sh");
    t.ok(shell.length > 0);
    for (const { heading, text } of shell) {
      t.ok(run.has(`${document}: ${heading}`), `"${heading}" is run`);
      for (const line of text.split("\n")) commands.add(line.replace(/ +#.*/, ""));
    }
  });
}

// Those in docs/TROUBLESHOOTING.md are run as they stand there: troubleshooting.long.ts.
t.test("OPERATIONS.md: what its sentences name is in a block", async (t) => {
  const programs = new Set([...commands].map((command) => command.split(" ")[0]!));
  const named = await commandsIn("OPERATIONS.md", (word) => programs.has(word));
  t.ok(named.length > 3);
  for (const command of named) {
    t.ok(
      [...commands].some((line) => line === command || line.startsWith(`${command} `)),
      command,
    );
  }
});
