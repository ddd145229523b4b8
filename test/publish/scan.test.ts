import { execFileSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import { LEAVE_OUT, Problems } from "../../lib/publish/problems.ts";
import { EVERYTHING, scan } from "../../lib/publish/scan.ts";
import { exactly } from "../support/exactly.ts";
import { type Test, temporaryDirectory } from "../support/icfs.ts";
import { writeTree } from "./trees.ts";

/** A socket in the file system, until the test ends. */
async function socketAt(t: Test, path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => new Promise<void>((resolve) => server.close(() => resolve())));
}

function problemsOf(problems: Problems, directory: string): string {
  try {
    problems.throwIfAny(directory);
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}

t.test("entries are found with their attributes, in the manifest's order", async (t) => {
  const directory = await temporaryDirectory(t);
  // Sorted by bytes: "a-b" before "a/b", "Z" before "a", U+FF5E before the surrogates of U+1F97E.
  await writeTree(directory, { "a/b": "1", "a-b": "22", Z: "", "～": "", "🥾": "", "a/c/run": "x" });
  await mkdir(join(directory, "empty"));
  await chmod(join(directory, "a/c/run"), 0o744);
  await symlink("a/c/run", join(directory, "link"));
  await utimes(join(directory, "Z"), 12.5, 1_500_000_000.25);
  execFileSync("touch", ["--date=@-100", join(directory, "a-b")]);
  const problems = new Problems();
  const { entries: found } = await scan(directory, EVERYTHING, problems);
  t.equal(problemsOf(problems, directory), "");
  t.same(
    found.map(({ path, kind }) => `${kind} ${path}`),
    [
      "file Z",
      "directory a",
      "file a-b",
      "file a/b",
      "directory a/c",
      "file a/c/run",
      "directory empty",
      "symlink link",
      "file ～",
      "file 🥾",
    ],
  );
  const at = (path: string) => found.find((entry) => entry.path === path);
  t.match(at("a-b"), { size: 2, executable: false, source: join(directory, "a-b") });
  t.equal(at("a-b")?.modified, 0n, "a time before 1970 becomes 1970");
  t.equal(at("Z")?.modified, 1_500_000_000_250_000_000n, "nanoseconds");
  t.match(at("a/c/run"), { executable: true });
  t.match(at("link"), { target: "a/c/run" });
});

t.test("all entries that cannot be published are named at once", async (t) => {
  const directory = await temporaryDirectory(t);
  await writeTree(directory, { "d/good": "good" });
  const at = (name: string) => join(directory, name);
  execFileSync("mkfifo", [at("d/pipe")]);
  execFileSync("mknod", [at("null"), "c", "1", "3"]);
  execFileSync("mknod", [at("loop"), "b", "7", "0"]);
  await socketAt(t, at("socket"));
  const raw = (name: Buffer) => Buffer.concat([Buffer.from(`${directory}/`), name]);
  await writeFile(raw(Buffer.from([0x66, 0xff, 0x6f])), "");
  await mkdir(raw(Buffer.from("d\xe9", "latin1")));
  await symlink(Buffer.from([0xc3, 0x28]), at("target"));
  const problems = new Problems();
  const { entries: found } = await scan(directory, EVERYTHING, problems);
  t.same(
    found.map(({ path }) => path),
    ["d", "d/good"],
    "entries that can be published are still found",
  );
  const lines = problemsOf(problems, directory).split("\n");
  t.equal(lines.shift(), `${directory} cannot be published; nothing was uploaded:`);
  t.same(
    lines.sort(),
    [
      "  d/pipe: it is a named pipe, and only files, directories and symlinks can be published",
      "  d\ufffd: its name is not UTF-8",
      "  f\ufffdo: its name is not UTF-8",
      "  loop: it is a block device, and only files, directories and symlinks can be published",
      "  null: it is a character device, and only files, directories and symlinks can be published",
      "  socket: it is a socket, and only files, directories and symlinks can be published",
      "  target: the symlink's target is not UTF-8",
      LEAVE_OUT,
    ].sort(),
  );
});

t.test("a long list of problems is cut, and says how many more there are", async (t) => {
  const problems = new Problems();
  for (let i = 1; i <= 30; i++) problems.add(`file${i}: bad`);
  const message = problemsOf(problems, "dir");
  t.match(message, "  file20: bad\n  and 10 more");
  t.notMatch(message, "file21:");
});

t.test("a name cannot forge lines or reach the terminal", async (t) => {
  const problems = new Problems();
  problems.add("x\n  \x1b[2Jy: bad");
  t.equal(problemsOf(problems, "dir").split("\n")[1], "  x\\n  \\x1b[2Jy: bad");
});

t.test("a path that is not a directory is refused", async (t) => {
  const directory = await temporaryDirectory(t);
  await writeTree(directory, { file: "" });
  const scanned = (name: string) => scan(join(directory, name), EVERYTHING, new Problems());
  await t.rejects(scanned("file"), { name: "UserError", message: `${directory}/file is not a directory` });
  await t.rejects(scanned("nowhere"), { name: "UserError", message: /cannot read .*nowhere: ENOENT/ });
  await symlink("gone", join(directory, "dangling"));
  await t.rejects(scanned("dangling"), { name: "UserError", message: /cannot read .*dangling: ENOENT/ });
  await rm(join(directory, "dangling"));
  t.test("a symlink to a directory is accepted", async (t) => {
    await writeTree(directory, { "real/inside": "" });
    await symlink("real", join(directory, "behind"));
    t.match((await scanned("behind")).entries, exactly({ path: "inside" }));
  });
});

t.test("times outside the format's range become its limits", async (t) => {
  // Not every file system can store the year 9999: /dev/shm can.
  const directory = await mkdtemp("/dev/shm/icfs-test-");
  t.teardown(() => rm(directory, { recursive: true }));
  for (const [name, date] of [
    ["early", "@-100"],
    ["late", "9999-01-01"],
  ] as const) {
    await writeFile(join(directory, name), "");
    execFileSync("touch", [`--date=${date}`, join(directory, name)]);
  }
  const { entries: scanned } = await scan(directory, EVERYTHING, new Problems());
  t.match(
    scanned.map(({ modified }) => modified),
    exactly(0n, 2n ** 64n - 1n),
  );
});
