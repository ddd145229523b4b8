/** Each message in docs/TROUBLESHOOTING.md is one of icfs. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

t.test("each message in TROUBLESHOOTING.md is in the program's source", async (t) => {
  const names = await readdir(join(ROOT, "lib"), { recursive: true });
  const sources = names.filter((name) => name.endsWith(".ts"));
  const program = (await Promise.all(sources.map((name) => readFile(join(ROOT, "lib", name), "utf8")))).join(
    "\n",
  );
  // Backquotes are escaped in the source, and plain in the printed message.
  const said = program.replaceAll("\\`", "`");
  const text = await readFile(join(ROOT, "docs/TROUBLESHOOTING.md"), "utf8");
  const messages = [...text.matchAll(/^\| `([^`]+)` \|/gm)].map(([, message]) => message!);
  t.ok(messages.length > 40);
  for (const message of messages) {
    const parts = message.split("…").map((part) => part.trim().replace(/^[;,:] |: *$/g, ""));
    for (const part of parts.filter((part) => part !== ""))
      t.ok(said.includes(part), `${message}: "${part}"`);
  }
});
