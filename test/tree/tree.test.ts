import t from "tap";
import type { Entry } from "../../lib/tree/manifest.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { file, HASH } from "../support/manifests.ts";

const directory = (path: string): Entry => ({ kind: "directory", path, modified: 1n });
const symlink = (path: string, target: string): Entry => ({ kind: "symlink", path, modified: 1n, target });

const entries = [
  file("a", [{ chunk: 0, offset: 0, length: 5 }], 5),
  directory("d"),
  directory("d/e"),
  file("d/e/f", [{ chunk: 0, offset: 0, length: 3 }], 3),
  symlink("d/up", "../a"),
  symlink("l", "d/e"),
];
const tree = Tree.of({ chunks: [{ sha256: HASH, size: 5 }], entries }, 7n);

t.test("nodes follow the root in the manifest's order, and know their children", async (t) => {
  t.strictSame(
    tree.nodes.map(({ entry }) => entry.path),
    ["", "a", "d", "d/e", "d/e/f", "d/up", "l"],
  );
  t.strictSame([...tree.root.children.keys()], ["a", "d", "l"]);
  t.match(tree.root, { index: 0, subdirectories: 1, entry: { modified: 7n } });
  t.equal(tree.bytes, 8);
});

t.test("paths are found as the kernel finds them", async (t) => {
  const found = (path: string) => tree.find(path)?.entry.path;
  for (const [path, expected] of [
    ["", ""],
    ["/", ""],
    ["a", "a"],
    ["/d/e/", "d/e"],
    ["d/./e//f", "d/e/f"],
    ["d/up", "a"],
    ["l", "d/e"],
    ["l/f", "d/e/f"],
    ["l/../up", "a"],
    ["../../d", "d"],
    ["absent", undefined],
    ["d/absent", undefined],
    ["a/", undefined],
    ["a/.", undefined],
    ["a/..", undefined],
    ["a/b", undefined],
    ["d/up/", undefined],
  ] as const) {
    t.equal(found(path), expected, `"${path}"`);
  }
});
