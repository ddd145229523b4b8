/** Each command in the documents for operators is run by a test, which reads it from the document. */
import { glob, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { blocksOf, commandsIn } from "../support/documented.ts";

const TESTS = fileURLToPath(new URL("..", import.meta.url));

/** The sections that tests run, by calls of `documented("DOCUMENT", "HEADING")`. */
const run = new Set<string>();
for await (const name of glob("**/*.{test,long,boot,clean}.ts", { cwd: TESTS })) {
  const source = await readFile(`${TESTS}/${name}`, "utf8");
  for (const [, document, heading] of source.matchAll(/documented\(\s*"([^"]+)",\s*"([^"]+)",?\s*\)/g)) {
    run.add(`${document}: ${heading}`);
  }
}

const commands = new Set<string>();
for (const document of [
  "INSTALL.md",
  "PUBLISH.md",
  "MOUNT.md",
  "BOOT.md",
  "NETWORKS.md",
  "OPERATIONS.md",
  "TROUBLESHOOTING.md",
  "HTTP.md",
  "SITES.md",
  "ROLLOUTS.md",
]) {
  t.test(`${document}: each block is run by a test`, async (t) => {
    const shell = (await blocksOf(document)).filter(({ language }) => language === "sh");
    t.ok(shell.length > 0);
    for (const { heading, text } of shell) {
      t.ok(run.has(`${document}: ${heading}`), `"${heading}" is run`);
      for (const line of text.split("\n")) commands.add(line.replace(/ +#.*/, ""));
    }
  });
}

// docs/TROUBLESHOOTING.md is not in this list, because troubleshooting.long.ts runs its commands.
for (const document of ["INSTALL.md", "PUBLISH.md", "MOUNT.md", "BOOT.md", "NETWORKS.md", "OPERATIONS.md"]) {
  t.test(`${document}: each command in a sentence is also in a block`, async (t) => {
    const programs = new Set([...commands].map((command) => command.split(" ")[0]!));
    for (const command of await commandsIn(document, (word) => programs.has(word))) {
      t.ok(
        [...commands].some((line) => line === command || line.startsWith(`${command} `)),
        command,
      );
    }
  });
}
