import { deepStrictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import t from "tap";
import { areNone, type Comparable, differenceLines, differences } from "../../lib/tree/diff.ts";
import { comparePaths } from "../../lib/tree/manifest.ts";
import { exactly } from "../support/exactly.ts";

const file = (path: string, content = "", executable = false): Comparable => ({
  kind: "file",
  path,
  size: content.length,
  sha256: createHash("sha256").update(content).digest(),
  executable,
});
const directory = (path: string): Comparable => ({ kind: "directory", path });
const symlink = (path: string, target: string): Comparable => ({ kind: "symlink", path, target });

t.test("differences name added, changed and removed entries, and what has changed", async (t) => {
  const before = [
    file("a", "1"),
    directory("d"),
    file("d/same", "same"),
    file("e", "x"),
    symlink("l", "a"),
    file("was", "1"),
    file("z"),
  ];
  const after = [
    file("a", "2", true),
    directory("d"),
    file("d/new"),
    file("d/same", "same"),
    file("e", "x", true),
    symlink("l", "e"),
    directory("was"),
    file("was/in", "1"),
  ];
  const found = differences(before, after);
  t.same(found, {
    added: [
      { path: "d/new", kind: "file" },
      { path: "was/in", kind: "file" },
    ],
    changed: [
      { path: "a", kind: "file", what: "bytes, executable bit" },
      { path: "e", kind: "file", what: "executable bit" },
      { path: "l", kind: "symlink", what: "target" },
      { path: "was", kind: "directory", what: "was a file" },
    ],
    removed: [{ path: "z", kind: "file" }],
  });
  t.notOk(areNone(found));
  t.same(differenceLines(found), [
    "changed file      a (bytes, executable bit)",
    "added   file      d/new",
    "changed file      e (executable bit)",
    "changed symlink   l (target)",
    "changed directory was (was a file)",
    "added   file      was/in",
    "removed file      z",
  ]);
});

t.test("times and extents make no difference", async (t) => {
  const one = { ...file("a", "x"), modified: 1n, extents: [] };
  const other = { ...file("a", "x"), modified: 2n, extents: [{ chunk: 0, offset: 0, length: 1 }] };
  t.ok(areNone(differences([one], [other])));
});

t.test("files of the same size with different bytes differ", async (t) => {
  t.match(differences([file("a", "x")], [file("a", "y")]).changed, exactly({ what: "bytes" }));
});

t.test("paths are in the order of their bytes, not of UTF-16", async (t) => {
  // U+FF5E is before U+1F97E in UTF-8, and after its surrogates in UTF-16.
  const tree = [file("\uff5e"), file("\u{1f97e}")];
  t.ok(areNone(differences(tree, tree)));
  t.same(differences(tree, [tree[1]!]).removed, [{ path: "\uff5e", kind: "file" }]);
});

t.test("for any two trees, the differences match those computed with sets", async () => {
  const trees = fc
    .dictionary(
      fc.constantFrom("a", "a-b", "a/b", "ü", "🥾", "z"),
      fc.constantFrom("f1", "f2", "d", "l1", "l2"),
    )
    .map((paths) => new Map(Object.entries(paths)));
  const entries = (paths: Map<string, string>) =>
    [...paths]
      .map(([path, what]) =>
        what === "d" ? directory(path) : what.startsWith("l") ? symlink(path, what) : file(path, what),
      )
      .sort((a, b) => comparePaths(a.path, b.path));
  fc.assert(
    fc.property(trees, trees, (before, after) => {
      const { added, changed, removed } = differences(entries(before), entries(after));
      const paths = (list: readonly { path: string }[]) => list.map(({ path }) => path).sort();
      const those = (of: Map<string, string>, which: (path: string) => boolean) =>
        [...of.keys()].filter(which).sort();
      deepStrictEqual(
        paths(added),
        those(after, (path) => !before.has(path)),
      );
      deepStrictEqual(
        paths(removed),
        those(before, (path) => !after.has(path)),
      );
      deepStrictEqual(
        paths(changed),
        those(after, (path) => before.has(path) && before.get(path) !== after.get(path)),
      );
    }),
    { numRuns: 200 },
  );
});
