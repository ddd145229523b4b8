/** The extended attributes of each kind of canister and inode. test/semantics/attributes.test.ts reads them on mounts. */
import t from "tap";
import type { Located } from "../../../lib/fs/view/inodes.ts";
import { attributeNames, attributeValue } from "../../../lib/fs/view/xattrs.ts";
import type { Release } from "../../../lib/source/source.ts";
import { Tree, type TreeEntry } from "../../../lib/tree/tree.ts";

const common = { modified: 0n };
const file = { kind: "file", size: 0, executable: false, extents: [], ...common } as const;
const ENTRIES: readonly TreeEntry[] = [
  { kind: "directory", path: "directory", ...common },
  { ...file, path: "file é", sha256: Buffer.alloc(32, 7) },
  { kind: "symlink", path: "link", target: "file é", ...common },
  { kind: "symlink", path: "link-to-directory", target: "directory", ...common },
  { ...file, path: "unread", sha256: undefined },
];

const RELEASES: Readonly<Record<string, Pick<Release, "number" | "verified">>> = {
  icfs: { number: 3, verified: "certified" },
  assets: { number: undefined, verified: "certified" },
  icboot: { number: undefined, verified: "node-signature" },
};

for (const [kind, named] of Object.entries(RELEASES)) {
  t.test(`${kind}: files and directories have attributes, symlinks have none`, async (t) => {
    const tree = Tree.of({ chunks: [], entries: ENTRIES }, 0n);
    const release = { ...named, hash: Buffer.alloc(32), certifiedAt: new Date(0) };
    const located = (index: number): Located => ({
      node: tree.nodes[index]!,
      served: { tree, release },
      since: 0n,
    });
    const numbered = named.number === undefined ? [] : ["user.icfs.release"];
    const always = [...numbered, "user.icfs.verified", "user.icfs.canister", "user.icfs.certified_at"];
    const expected: Record<string, readonly string[]> = {
      "": always,
      directory: always,
      "file é": ["user.icfs.sha256", ...always, "user.icfs.origin"],
      link: [],
      "link-to-directory": [],
      unread: [...always, "user.icfs.origin"],
    };
    for (const { index, entry } of tree.nodes) {
      const names = attributeNames(located(index));
      t.same(names, expected[entry.path], entry.path);
      for (const name of ["user.icfs.sha256", ...always, "user.icfs.origin"]) {
        const value = attributeValue(located(index), name, "canister");
        t.equal(
          value !== undefined,
          names.includes(name),
          `${entry.path}: ${name} can be read if and only if it is listed`,
        );
      }
    }
    const origin = (index: number) => attributeValue(located(index), "user.icfs.origin", "ID")?.toString();
    const from = `ID ${named.number ?? "-"} ${"00".repeat(32)}`;
    t.equal(origin(2), `${from} ${"07".repeat(32)} file%20%C3%A9`);
    t.equal(origin(5), `${from} - unread`);
    t.equal(attributeValue(located(2), "user.icfs.verified", "")?.toString(), named.verified);
  });
}
