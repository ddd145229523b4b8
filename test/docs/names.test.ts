/**
 * The files that documents and comments name exist. A comment names a file by its path from the repository's root, or by its name if the
 * file is in the same directory. A document names a file by the end of its path.
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import t from "tap";
import { ROOT } from "../support/imports.ts";
import { plain } from "../support/plain.ts";

/** bench/RESULTS.md is left out, because it is about commits that had other files. */
const DOCUMENTS = /(?<!RESULTS)\.md$|\.[18]$/;
const SOURCES = /\.(ts|mo|sh|service)$|(^|\/)(Makefile|\.taprc|run|icfs)$/;
/** The comments of TypeScript, Motoko, shell and make, on lines of their own and after code. */
const COMMENT = /^\s*(\/?\*|\/\/|#).*|\s(\/\/|\/\*\*|#+) .*/gm;
/** A path with one of the endings that files of the repository have. */
const NAME = /(?<![\w$@*{}<>./-])(?:\.{1,2}\/)*((?:[\w.-]+\/)*[\w-][\w.-]*\.(?:ts|mo|sh|md))\b/g;
/** A placeholder for any name, such as bench/NAME.ts. */
const PLACEHOLDER = /(^|\/)[A-Z]+\.(ts|mo)$/;

const git = await promisify(execFile)(...plain("git", ["ls-files"]), { cwd: ROOT });
const files = git.stdout.trim().split("\n");

/** The names in a text that are not those of any file. @param is whether a file goes by a name */
function missing(text: string, is: (file: string, name: string) => boolean): string[] {
  return Array.from(text.matchAll(NAME), ([, name]) => name!).filter(
    (name) => !PLACEHOLDER.test(name) && !files.some((file) => is(file, name)),
  );
}

const byItsEnd = (file: string, name: string) => file === name || file.endsWith(`/${name}`);
const from = (directory: string) => (file: string, name: string) =>
  file === name || file === join(directory, name);

t.test("the files that documents and comments name exist", async (t) => {
  let read = 0;
  for (const file of files) {
    const isDocument = DOCUMENTS.test(file);
    if (!isDocument && !SOURCES.test(file)) continue;
    const text = await readFile(join(ROOT, file), "utf8");
    const unknown = isDocument
      ? missing(text, byItsEnd)
      : missing((text.match(COMMENT) ?? []).join("\n"), from(dirname(file)));
    t.same(unknown, [], file);
    read += 1;
  }
  t.ok(read > 300, "more than 300 files are read");
});

t.test("a name without a file is found", async (t) => {
  const text = "as lib/cli/main.ts and `main.ts` do; lib/cli/gone.ts, `gone.mo`, bench/NAME.ts";
  t.same(missing(text, byItsEnd), ["lib/cli/gone.ts", "gone.mo"]);
  t.same(missing(text, from("lib/cli")), ["lib/cli/gone.ts", "gone.mo"]);
  t.same(missing(text, from("lib/fs")), ["main.ts", "lib/cli/gone.ts", "gone.mo"]);
});
