/** Comparing a release with what a mount serves, here a directory in its place; test/mount/pinned.long.ts has mounts. */
import { chmod, mkdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { Progress } from "../lib/publish/progress.ts";
import { Tree } from "../lib/tree/tree.ts";
import { mountProblems } from "../lib/verify.ts";
import { chunked, writeTree } from "./publish/trees.ts";
import { temporaryDirectory } from "./support/icfs.ts";

const silent: Progress = { start: () => {}, add: () => {}, stop: () => {} };

t.test("a mount that serves other bytes, names, kinds or targets; modes are its options", async (t) => {
  const directory = await temporaryDirectory(t);
  await writeTree(directory, { "d/a": "a", b: "b", c: "c" });
  await symlink("b", join(directory, "link"));
  const { manifest } = await chunked(directory);
  const tree = Tree.of(manifest, 0n);
  t.same(await mountProblems(tree, directory, silent), []);
  await chmod(join(directory, "b"), 0o755);
  t.same(await mountProblems(tree, directory, silent), []);

  await writeTree(directory, { "d/a": "A", "d/new": "" });
  await rm(join(directory, "link"));
  await symlink("c", join(directory, "link"));
  await rm(join(directory, "c"));
  await mkdir(join(directory, "c"));
  await rm(join(directory, "b"));
  t.same(await mountProblems(tree, directory, silent), [
    `${directory}: removed file      b`,
    `${directory}: changed directory c (was a file)`,
    `${directory}: changed file      d/a (bytes)`,
    `${directory}: added   file      d/new`,
    `${directory}: changed symlink   link (target)`,
  ]);
});
