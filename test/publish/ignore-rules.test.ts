/** Files that are not published, by gitignore's rules. git itself gives the right answer. */
import { execFileSync } from "node:child_process";
import { chmod, mkdir, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import { Problems } from "../../lib/publish/problems.ts";
import { EVERYTHING, scan } from "../../lib/publish/scan.ts";
import { exactly } from "../support/exactly.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { writeTree } from "./trees.ts";

/** The published files of a directory, links among them, and the problems. */
async function found(directory: string, exclude: readonly string[]) {
  const problems = new Problems();
  const { entries } = await scan(directory, { ...EVERYTHING, exclude, ignoreFiles: true }, problems);
  const paths = entries.filter(({ kind }) => kind !== "directory").map(({ path }) => path);
  return { paths: paths.sort(), entries, problems: problems.found };
}

/** The same files by git. */
function byGit(directory: string, exclude: readonly string[]): string[] {
  const patterns = exclude.map((pattern) => `--exclude=${pattern}`);
  const command = ["ls-files", "-z", "--others", "--exclude-per-directory=.icfsignore", ...patterns];
  const git = ["-c", "core.excludesFile=/dev/null", `--git-dir=${directory}.git`, `--work-tree=${directory}`];
  const listed = execFileSync("git", [...git, ...command], { encoding: "utf8", cwd: directory });
  return listed
    .split("\0")
    .filter((path) => path !== "" && !path.split("/").includes(".icfsignore"))
    .sort();
}

async function directoryOf(t: Parameters<typeof temporaryDirectory>[0]): Promise<string> {
  const directory = join(await temporaryDirectory(t), "tree");
  await mkdir(directory);
  execFileSync("git", ["init", "--quiet", "--bare", `${directory}.git`]);
  execFileSync("git", ["--git-dir", `${directory}.git`, "config", "core.bare", "false"]);
  return directory;
}

const FILES = [
  "file",
  "file~",
  "#file#",
  "#comment",
  ".file.swp",
  "Upper",
  "a b ",
  "back\\slash",
  "new\nline",
  "!bang",
  "[x]",
  "x",
  "d/file",
  "d/!bang",
  "d/#comment",
  "a[b] c*/x",
  "a[b] c*/y/x",
  "d/file.bak",
  "d/e/file",
  "d/e/keep.bak",
  "d/build/out",
  "build/out",
  "lost+found/gone",
  "e/d/file",
];

t.test("patterns for editors' backups, and all that gitignore(5) describes, work as in git", async (t) => {
  const directory = await directoryOf(t);
  await writeTree(directory, Object.fromEntries(FILES.map((path) => [path, path])));
  await symlink("d", join(directory, "link"));
  const cases: readonly (readonly [file: string, nested: string, exclude: readonly string[]])[] = [
    ["", "", []],
    ["*~\n\\#*#\n.*.swp\nlost+found/\n", "", []],
    ["# a comment\n#comment\n\\!bang\n\\[x\\]\n[w-y]\na b\\ \nback\\\\slash\n", "", []],
    ["a b \nupper\n", "", []],
    ["/d/*\n!/d/e\n", "", []],
    ["/d/\n!/d/e/\n", "", []],
    ["**/file\n", "", []],
    ["d/**/file\nbuild/\n", "", []],
    ["/build\nlink/\n", "", []],
    ["link\n", "", []],
    ["*\n!/file\n", "", []],
    ["*.bak\n", "!keep.bak\n", []],
    ["!file\n", "file\n/e\n", []],
    ["/file\r\nd/e/\r\n", "", []],
    ["\ufefffile\n", "", []],
    ["", "", ["*~", "#*#", "#comment", "lost+found"]],
    ["!file\n", "!file\n", ["file"]],
    ["*.bak\n", "file\n", ["!d/e/file", "!*.bak"]],
    ["", "\\!bang\n\\#comment\n", []],
    ["", "/file\n", []],
    ["", "e/file\nbuild/ \n", []],
    ["", "", ["a b "]],
    ["", "", ["/d/e/", "build"]],
    ["", "", ["*", "!/d", "!/d/file"]],
  ];
  for (const [file, nested, exclude] of cases) {
    await writeTree(directory, { ".icfsignore": file, "d/.icfsignore": nested });
    await writeTree(directory, { "a[b] c*/.icfsignore": nested });
    const { paths, problems } = await found(directory, exclude);
    t.same(problems, []);
    // icfs ends a line at \r\n; git takes the \r for a part of the name.
    if (file.includes("\r")) t.notOk(paths.includes("file") || paths.includes("d/e/file"));
    else t.same(paths, byGit(directory, exclude), JSON.stringify([file, nested, exclude]));
  }
});

t.test("random patterns work as in git", async (t) => {
  const directory = await directoryOf(t);
  const names = ["a", "b", "ab", "a.b"];
  for (const one of names) {
    await writeTree(directory, { [`${one}.f`]: "" });
    for (const two of names) await writeTree(directory, { [`${one}/${two}/x`]: "", [`${one}/${two}.f`]: "" });
  }
  const segment = fc.constantFrom("a", "b", "ab", "a*", "*b", "?", "*", "[ab]", "[!a]", "*.f", "x", "**");
  const pattern = fc
    .record({
      not: fc.boolean(),
      anchored: fc.boolean(),
      segments: fc.array(segment, { minLength: 1, maxLength: 3 }),
      directory: fc.boolean(),
    })
    .map(
      ({ not, anchored, segments, directory }) =>
        `${not ? "!" : ""}${anchored ? "/" : ""}${segments.join("/")}${directory ? "/" : ""}`,
    );
  const patterns = fc.array(pattern, { maxLength: 4 });
  const asGit = fc.asyncProperty(patterns, patterns, async (file, nested) => {
    await writeTree(directory, { ".icfsignore": file.join("\n"), "a/.icfsignore": nested.join("\n") });
    const { paths } = await found(directory, []);
    const expected = byGit(directory, []);
    if (paths.join("\n") !== expected.join("\n")) {
      throw new Error(`${JSON.stringify([file, nested])}: ${paths} instead of ${expected}`);
    }
  });
  await t.resolves(fc.assert(asGit, { numRuns: 60 }));
});

t.test("excluded entries need not be publishable or readable", async (t) => {
  const directory = await directoryOf(t);
  await writeTree(directory, { file: "", "locked/file": "" });
  execFileSync("mkfifo", [join(directory, "pipe")]);
  await writeFile(Buffer.concat([Buffer.from(`${directory}/`), Buffer.from([0x66, 0xff])]), "");
  await chmod(join(directory, "locked"), 0);
  t.same((await found(directory, ["pipe", "f?", "locked/"])).paths, ["file"]);
  t.same((await found(directory, ["pipe", "f?", "locked/"])).problems, []);
});

t.test("a .icfsignore that is not a file is a problem", async (t) => {
  for (const make of [
    (path: string) => mkdir(path),
    (path: string) => symlink("/etc/passwd", path),
    async (path: string) => void execFileSync("mkfifo", [path]),
  ]) {
    const directory = await directoryOf(t);
    await writeTree(directory, { "d/file": "" });
    await make(join(directory, "d/.icfsignore"));
    t.match(
      (await found(directory, [])).problems,
      exactly("d/.icfsignore, which says what is left out, cannot be read: it is not a file"),
    );
    await rm(directory, { recursive: true });
  }
});

t.test("a .icfsignore that is too large is not read", async (t) => {
  const directory = await directoryOf(t);
  await writeTree(directory, { "d/.icfsignore": "" });
  await truncate(join(directory, "d/.icfsignore"), 3 * 1024 ** 3);
  t.match(
    (await found(directory, [])).problems,
    exactly("d/.icfsignore, which says what is left out, cannot be read: it has more than 1048576 bytes"),
  );
});

t.test("a .icfsignore that is not in UTF-8 is a problem", async (t) => {
  const utf16 = Buffer.from("\ufeffsecret.key\n", "utf16le");
  for (const content of [
    utf16,
    utf16.subarray(2),
    utf16.swap16(),
    Buffer.from("schl\u00fcssel\n", "latin1"),
  ]) {
    const directory = await directoryOf(t);
    await writeTree(directory, { "secret.key": "", ".icfsignore": content });
    t.match(
      (await found(directory, [])).problems,
      exactly(
        ".icfsignore, which says what is left out, cannot be read: it is not text in UTF-8: save it as such",
      ),
    );
    await rm(directory, { recursive: true });
  }
  const directory = await directoryOf(t);
  await writeTree(directory, { "secret.key": "", ".icfsignore": "\ufeffsecret.key\r\n" });
  const { paths, problems } = await found(directory, []);
  t.same({ paths, problems }, { paths: [], problems: [] }, "a UTF-8 byte order mark is accepted");
});

t.test("a change of a .icfsignore is noticed", async (t) => {
  const directory = await directoryOf(t);
  await writeTree(directory, { "d/file": "", "d/.icfsignore": "x" });
  const { seen } = await scan(directory, { ...EVERYTHING, ignoreFiles: true }, new Problems());
  await writeFile(join(directory, "d/.icfsignore"), "file");
  t.same(await seen.changes(), ["d/.icfsignore: it had 1 bytes and has 4"]);
});

t.test("without ignore files, everything is read, including .icfsignore", async (t) => {
  const directory = await directoryOf(t);
  await writeTree(directory, { file: "", ".icfsignore": "file" });
  const { entries } = await scan(directory, EVERYTHING, new Problems());
  t.same(
    entries.map(({ path }) => path),
    [".icfsignore", "file"],
  );
});

t.test("a line without a name in a nested .icfsignore has no effect", async (t) => {
  for (const line of ["/", "//", "!/", "  ", "!"]) {
    const directory = await directoryOf(t);
    await mkdir(join(directory, "sub/dir"), { recursive: true });
    await writeFile(join(directory, "sub/dir/file"), "");
    await writeFile(join(directory, "sub/.icfsignore"), `${line}\n`);
    const { paths } = await found(directory, []);
    t.same(paths, ["sub/dir/file"], JSON.stringify(line));
    t.same(paths, byGit(directory, []), "as git");
  }
});
