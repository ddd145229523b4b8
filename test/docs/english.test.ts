/** scripts/english.ts finds the phrases of scripts/english.yml wherever people read them. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { ROOT } from "../support/imports.ts";

const PHRASE = 'not "look whether", but "check whether"';

/** Runs the script on a file with this text. */
async function said(t: Test, name: string, text: string): Promise<{ failed: boolean; stderr: string }> {
  const file = join(t.testdir({}), name);
  await writeFile(file, text);
  return await new Promise((resolve) =>
    execFile(process.execPath, [join(ROOT, "scripts/english.ts"), file], (error, _, stderr) =>
      resolve({ failed: error !== null, stderr: stderr.replaceAll(file, name) }),
    ),
  );
}

for (const [what, name, text, line] of [
  ["a document", "README.md", "# icfs\n\nThen look whether it runs.\n", 3],
  ["a document, over a line's end", "README.md", "# icfs\n\nThen look\nwhether it runs.\n", 3],
  [
    "a comment of TypeScript, over a line's end",
    "a.ts",
    "/**\n * Callers look\n * whether it runs.\n */\n",
    2,
  ],
  ["a comment of Motoko, over a line's end", "a.mo", "/// Callers look\n/// whether it runs.\n", 1],
  ["a comment of a shell script, over a line's end", "a.sh", "# Look, then look\n# whether it runs.\n", 1],
  ["a message", "a.ts", 'throw new Error("look whether it runs");\n', 1],
  ["a message in two strings", "a.ts", 'throw new Error(\n  "look " +\n    "whether it runs");\n', 2],
] as const) {
  t.test(`finds a phrase in ${what}`, async (t) => {
    const { failed, stderr } = await said(t, name, text);
    t.ok(failed);
    t.match(stderr, `${name}:${line}: ${PHRASE}\n`);
  });
}

t.test("a phrase does not extend over an empty line, and other kinds of files are skipped", async (t) => {
  t.same(await said(t, "a.md", "Have a look\n\nwhether it runs\n"), { failed: false, stderr: "" });
  t.same(await said(t, "a.json", '"look whether"\n'), { failed: false, stderr: "" });
});
