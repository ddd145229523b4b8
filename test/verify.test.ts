/**
 * A release that is wrong in parts, over chunks of the test's own. A directory stands in for the mount;
 * test/mount/pinned.long.ts has mounts.
 */
import { chmod, mkdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { VerificationError } from "../lib/ic/certificate/certificate.ts";
import type { Progress } from "../lib/publish/progress.ts";
import type { Totals } from "../lib/tree/header.ts";
import { type Chunk, Tree } from "../lib/tree/tree.ts";
import { fileProblems, mountProblems, totalsProblems } from "../lib/verify.ts";
import { bytesOf, chunked, writeTree } from "./publish/trees.ts";
import { temporaryDirectory } from "./support/icfs.ts";
import { file } from "./support/manifests.ts";

const silent: Progress = { start: () => {}, add: () => {}, stop: () => {} };

t.test(
  "differences in a mount's bytes, names, kinds and targets are named; modes do not count",
  async (t) => {
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
  },
);

t.test("all wrong files are named; without a network, the unchecked files are counted", async (t) => {
  const directory = await temporaryDirectory(t);
  // Large files: each has chunks of its own.
  const contents = Object.fromEntries(["a", "b", "c", "d"].map((name, i) => [name, bytesOf(i, 300_000)]));
  await writeTree(directory, contents);
  const { manifest, chunks } = await chunked(directory);
  const tree = Tree.of(manifest, 0n);
  /** @param failing the errors that getting the chunks of these files throws */
  const problems = (failing: Record<string, Error>) => {
    const get = async (chunk: Chunk) => {
      const number = tree.chunks.indexOf(chunk);
      const error = failing["abcd"[number]!];
      if (error !== undefined) throw error;
      return chunks[number]!.read();
    };
    return fileProblems(tree, { get, prefetch: () => {} }, silent);
  };
  t.same(await problems({}), []);
  const wrong = new VerificationError("other bytes");
  t.same(await problems({ a: wrong, c: wrong }), ["a: other bytes", "c: other bytes"]);
  t.same(await problems({ a: wrong, b: new Error("no answer") }), [
    "a: other bytes",
    "b: no answer",
    "nobody answers: 2 more files were not checked",
  ]);
});

t.test("checking stops after a thousand wrong files", async (t) => {
  const sha256 = (i: number) => Buffer.alloc(32, i);
  const tree = Tree.of(
    {
      chunks: Array.from({ length: 1200 }, (_, i) => ({ sha256: sha256(i), size: 1 })),
      entries: Array.from({ length: 1200 }, (_, i) => {
        const path = String(i).padStart(4, "0");
        return file(path, [{ chunk: i, offset: 0, length: 1 }], 1);
      }),
    },
    0n,
  );
  let asked = 0;
  const get = async () => {
    asked += 1;
    throw new VerificationError("other bytes");
  };
  const problems = await fileProblems(tree, { get, prefetch: () => {} }, silent);
  t.equal(asked, 1000);
  t.equal(problems.length, 1001);
  t.equal(problems.at(-1), "1000 files are wrong: 200 more files were not checked");
});

t.test("every wrong total in a header is named", async (t) => {
  const directory = await temporaryDirectory(t);
  await writeTree(directory, { "d/a": "one", b: "three" });
  await symlink("b", join(directory, "link"));
  const tree = Tree.of((await chunked(directory)).manifest, 0n);
  const right: Totals = { files: 2, directories: 1, symlinks: 1, bytes: 8, chunks: 1, chunkBytes: 8 };
  t.same(totalsProblems(right, tree), []);
  for (const [name, number] of Object.entries(right)) {
    t.same(totalsProblems({ ...right, [name]: number + 1 }, tree), [
      `the header says ${name}: ${number + 1}, and the manifest has ${number}`,
    ]);
  }
});
