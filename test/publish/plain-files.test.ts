/** Links are followed for canisters that have none. `find -L` gives the right answer. */
import { execFile } from "node:child_process";
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type PlainFiles, plainFiles } from "../../lib/publish/icboot/plain-files.ts";
import { Problems } from "../../lib/publish/problems.ts";
import { EVERYTHING } from "../../lib/publish/scan.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { writeTree } from "./trees.ts";

async function directoryOf(
  t: Test,
  files: readonly string[],
  links: Readonly<Record<string, string>>,
): Promise<string> {
  const directory = await temporaryDirectory(t);
  await writeTree(directory, Object.fromEntries(files.map((name) => [name, name])));
  for (const [path, target] of Object.entries(links)) await symlink(target, join(directory, path));
  return directory;
}

async function found(directory: string): Promise<PlainFiles & { problems: readonly string[] }> {
  const problems = new Problems();
  return { ...(await plainFiles(directory, EVERYTHING, problems)), problems: problems.found };
}

/** The names of the files, and of the links that find does not enter. */
function find(directory: string): Promise<{ files: string[]; loops: string[] }> {
  const args = ["-L", directory, "-type", "f", "-printf", "%P\\n"];
  return new Promise((resolve) => {
    execFile("find", args, { env: { ...process.env, LC_ALL: "C" } }, (_, stdout, stderr) => {
      const loops = Array.from(stderr.matchAll(/loop detected; '(.*?)'/g), ([, path]) =>
        path!.slice(directory.length + 1),
      );
      resolve({ files: stdout.trim().split("\n").sort(), loops: loops.sort() });
    });
  });
}

const TREES: Readonly<Record<string, readonly [files: readonly string[], links: Record<string, string>]>> = {
  "links to files and directories": [
    ["a/b/file", "a/other", "top"],
    { link: "a/b/file", twice: "link", d: "a/b", "a/up": "../top", "a/b/side": "../other", far: "d/side" },
  ],
  "links to what they are in": [
    ["a/b/file"],
    { "a/b/all": "../..", "a/self": ".", "a/b/up": "..", root: "." },
  ],
  "two directories, each with a link to the other": [
    ["a/file", "b/file"],
    { "a/to-b": "../b", "b/to-a": "../a", "a/round": "../b/to-a/to-b" },
  ],
};

for (const [name, [files, links]] of Object.entries(TREES)) {
  t.test(name, async (t) => {
    const directory = await directoryOf(t, files, links);
    const result = await found(directory);
    t.same(result.problems, []);
    const expected = await find(directory);
    t.same(result.files.map(({ path }) => path).sort(), expected.files);
    t.same([...result.loops].sort(), expected.loops);
    for (const file of result.files) {
      const { size, source } = file as Extract<typeof file, { source: string }>;
      const end = source.slice(directory.length + 1);
      t.ok(files.includes(end) && size === end.length, `${end} is read in place`);
    }
  });
}

t.test("all links that cannot be followed are named", async (t) => {
  const links = { out: "../elsewhere", gone: "nowhere", "d/etc": "/etc", round: "round", good: "d/file" };
  const { files, problems } = await found(await directoryOf(t, ["d/file"], links));
  t.same(files, []);
  t.same(problems.map((problem) => problem.split(" ")[0]).sort(), ["d/etc", "gone", "out", "round"]);
});

t.test("a path that becomes too long behind a link is a problem", async (t) => {
  const long = "n".repeat(255);
  const directory = await directoryOf(t, [], {});
  const deep = Array.from({ length: 8 }, () => long).join("/");
  await mkdir(join(directory, deep), { recursive: true });
  await writeTree(directory, { "one/file": "" });
  await writeTree(directory, { [`${"m".repeat(255)}/x`]: "" });
  // The links' targets stay short; the paths below them do not.
  await symlink(
    Array.from({ length: 8 }, () => "..")
      .join("/")
      .concat("/second"),
    join(directory, deep, "on"),
  );
  await mkdir(join(directory, "second", deep), { recursive: true });
  await writeTree(directory, { [`second/${deep}/file`]: "" });
  const { problems } = await found(directory);
  t.ok(problems.length > 0);
  for (const problem of problems) t.match(problem, /: the path is longer than 4096 bytes$/);
});

t.test("directories that double behind each link are refused for too many entries", async (t) => {
  const levels = 40;
  const names = Array.from({ length: levels }, (_, i) => `d${i}`);
  const links = Object.fromEntries(
    names.slice(1).flatMap((name, i) => [
      [`d${i}/left`, `../${name}`],
      [`d${i}/right`, `../${name}`],
    ]),
  );
  const directory = await directoryOf(
    t,
    names.map((name) => `${name}/file`),
    links,
  );
  await t.rejects(found(directory), { message: /with its links followed, has more than 100000 entries$/ });
});
