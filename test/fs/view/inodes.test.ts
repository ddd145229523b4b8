/** Inodes across releases: an unchanged file keeps its number, and an inode that is held stays readable. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import t from "tap";
import { ROOT_INODE } from "../../../lib/fs/view/filesystem.ts";
import { Inodes, type ServedRelease } from "../../../lib/fs/view/inodes.ts";
import { atOnce } from "../../../lib/steps.ts";
import { hexOf } from "../../../lib/tree/hash.ts";
import type { ChunkReference, Entry, Manifest } from "../../../lib/tree/manifest.ts";
import { type Chunk, Tree, type TreeFile } from "../../../lib/tree/tree.ts";
import { served } from "../../support/served.ts";

/** Files by path. A letter stands for a file's content. */
type Files = Readonly<Record<string, string>>;

function release(files: Files, number: number): ServedRelease {
  const directories = new Set<string>();
  for (const path of Object.keys(files)) {
    const parts = path.split("/");
    for (let i = 1; i < parts.length; i++) directories.add(parts.slice(0, i).join("/"));
  }
  const chunks: Manifest["chunks"][number][] = [];
  const entries: Entry[] = [...directories].map((path) => ({ kind: "directory", path, modified: 0n }));
  for (const [path, content] of Object.entries(files)) {
    // A view of more bytes, as in a decoded manifest.
    const sha256 = Buffer.concat([createHash("sha256").update(content).digest(), Buffer.alloc(1)]).subarray(
      0,
      32,
    );
    chunks.push({ sha256, size: 1 });
    const extents = [{ chunk: chunks.length - 1, offset: 0, length: 1 }];
    entries.push({
      kind: "file",
      path,
      modified: BigInt(number),
      size: 1,
      sha256,
      executable: false,
      extents,
    });
  }
  entries.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  return served(Tree.of({ chunks, entries }, 0n), number);
}

/** What a file's extents refer to. */
const bytesOf = (file: TreeFile, tree: Tree) =>
  file.extents.map(({ chunk, ...part }) => ({ ...part, sha256: hexOf(tree.chunks[chunk]!.sha256!) }));
const switchTo = (inodes: Inodes, next: ServedRelease, mountedOn: readonly string[] = []) =>
  atOnce(inodes.prepare(next))(mountedOn);
const inodeOf = (inodes: Inodes, path: string) => {
  const node = inodes.served.tree.find(path);
  return node && inodes.of(node);
};

t.test(
  "across random releases, each number keeps its meaning, and an unchanged file its number",
  async (t) => {
    const path = fc.constantFrom("a", "b", "d/a", "d/b", "d/e/a", "f/a");
    const files = fc.dictionary(path, fc.constantFrom("x", "y", "z"));
    const numbersKeepTheirMeaning = fc.property(
      fc.array(files, { minLength: 2, maxLength: 8 }),
      (releases) => {
        const inodes = new Inodes(release(releases[0]!, 0));
        /** The path and content that each number has stood for. */
        const meaning = new Map<number, string>();
        let before: Files = {};
        let numbers = new Map<string, number>();
        for (const [i, files] of releases.entries()) {
          if (i > 0) switchTo(inodes, release(files, i));
          const now = new Map<string, number>();
          for (const [path, content] of Object.entries(files)) {
            const inode = inodeOf(inodes, path)!;
            now.set(path, inode);
            const means = `${path}=${content}`;
            if ((meaning.get(inode) ?? means) !== means)
              throw new Error(`${inode} was ${meaning.get(inode)}, is ${means}`);
            meaning.set(inode, means);
            if (i > 0 && before[path] === content && numbers.get(path) !== inode) {
              throw new Error(`${path} has not changed, and its inode has`);
            }
            if (inodes.get(inode)?.served.release.number !== i)
              throw new Error("it is of the current release");
          }
          if (new Set(now.values()).size !== now.size) throw new Error("one inode for two files");
          before = files;
          numbers = now;
        }
      },
    );
    t.doesNotThrow(() => fc.assert(numbersKeepTheirMeaning));
  },
);

t.test("an inode has the time of the release that last changed it", async (t) => {
  const of = (number: number, entries: Entry[], certifiedAt = new Date(0)) => {
    const { tree, release } = served(Tree.of({ chunks: [], entries }, BigInt(number)), number);
    return { tree, release: { ...release, certifiedAt } };
  };
  const directory = (path: string, modified = 0n): Entry => ({ kind: "directory", path, modified });
  const empty = (path: string, { modified = 0n, executable = false } = {}): Entry => {
    return { kind: "file", path, modified, size: 0, sha256: Buffer.alloc(32), executable, extents: [] };
  };
  const link = (target: string): Entry => ({ kind: "symlink", path: "link", modified: 0n, target });
  const paths = ["", "d", "d/e", "d/e/file", "d/later", "d/tool", "k", "k/file", "link"];
  const since = (inodes: Inodes) =>
    Object.fromEntries(
      inodes.served.tree.nodes.map((node) => [node.entry.path, Number(inodes.get(inodes.of(node))!.since)]),
    );
  const files = [directory("d"), directory("d/e"), empty("d/e/file"), empty("d/later"), empty("d/tool")];
  const inodes = new Inodes(of(1, [...files, directory("k"), empty("k/file"), link("a")]));
  t.same(since(inodes), Object.fromEntries(paths.map((path) => [path, 1])));
  const held = inodeOf(inodes, "d/later")!;
  inodes.retain(held);
  switchTo(
    inodes,
    of(2, [
      ...[directory("d"), directory("d/e", 7n), empty("d/e/file"), empty("d/later", { modified: 7n })],
      ...[empty("d/tool", { executable: true }), directory("k"), empty("k/file"), link("b")],
    ]),
  );
  const second = {
    "": 2,
    d: 1,
    "d/e": 2,
    "d/e/file": 1,
    "d/later": 2,
    "d/tool": 2,
    k: 1,
    "k/file": 1,
    link: 2,
  };
  t.same(since(inodes), second, "changed times, execute bits and link targets count as changes");
  switchTo(
    inodes,
    of(3, [
      ...[directory("d"), directory("d/e", 7n), empty("d/e/file"), empty("d/tool", { executable: true })],
      ...[directory("k"), empty("k/file"), empty("k/new"), link("b")],
    ]),
  );
  const { "d/later": _, ...rest } = second;
  t.same(
    since(inodes),
    { ...rest, "": 3, d: 3, k: 3, "k/new": 3 },
    "a name that is added or removed changes its directory",
  );
  t.equal(Number(inodes.get(held)!.since), 2, "a held inode of a removed file keeps its time");

  const numberless = (seen: Date, entries: Entry[]) => {
    const { tree, release } = of(1, entries, seen);
    return { tree, release: { ...release, number: undefined } };
  };
  const listed = new Inodes(numberless(new Date(5), [empty("a"), empty("b")]));
  switchTo(listed, numberless(new Date(6), [empty("a"), empty("c")]));
  t.same(
    since(listed),
    { "": 6e6, a: 5e6, c: 6e6 },
    "without release numbers, the time is when the change was first seen",
  );
});

t.test("a retained inode outlives its release, until it is forgotten", async (t) => {
  const inodes = new Inodes(release({ "d/held": "x", "d/left": "x", "gone/file": "x" }, 1));
  const [held, left] = [inodeOf(inodes, "d/held")!, inodeOf(inodes, "d/left")!];
  const [directory, gone] = [inodeOf(inodes, "d")!, inodeOf(inodes, "gone")!];
  inodes.retain(held);
  inodes.retain(gone);
  switchTo(inodes, release({ "d/held": "y", "d/left": "y" }, 2));
  t.equal(inodes.get(held)?.served.release.number, 1, "the held inode still belongs to release 1");
  t.equal(inodes.get(left), undefined, "an inode that is not held is gone");
  t.equal(inodeOf(inodes, "d"), directory, "a directory keeps its inode");
  t.equal(inodes.get(gone)?.node.entry.path, "gone");
  t.not(inodeOf(inodes, "d/held"), held);
  switchTo(inodes, release({ "d/held": "x" }, 3));
  t.equal(inodes.get(held)?.served.release.number, 1, "the held inode survives more than one switch");
  t.equal(inodes.outdated, 2);
  inodes.forget(held);
  inodes.forget(gone);
  t.same([inodes.get(held), inodes.outdated], [undefined, 0]);
  t.equal(inodeOf(inodes, ""), ROOT_INODE);
});

t.test("a retained file of an old release keeps only its own chunks in memory", async (t) => {
  const before = release({ a: "1", b: "2", c: "3", d: "4" }, 1);
  const inodes = new Inodes(before);
  const file = inodeOf(inodes, "c")!;
  inodes.retain(file);
  const was = inodes.get(file)!;
  switchTo(inodes, release({ a: "1" }, 2));
  const { node, served } = inodes.get(file)!;
  t.equal(served.tree.nodes.length, 1);
  t.same(bytesOf(node.entry as TreeFile, served.tree), bytesOf(was.node.entry as TreeFile, before.tree));
  t.equal(served.tree.chunks.length, 1);
  for (const sha256 of [served.tree.chunks[0]!.sha256!, (node.entry as TreeFile).sha256!]) {
    t.equal(sha256.buffer.byteLength, 32, "not a view of the manifest");
  }
  t.match(node, { index: was.node.index, entry: { path: "c", size: 1, modified: 1n } });
});

t.test("names on which something is mounted keep their meaning until it is unmounted", async (t) => {
  const inodes = new Inodes(release({ "d/file": "x", "d/e/below": "x", "kept/file": "x", other: "x" }, 1));
  const names = (directory: number) => inodes.children(directory).map(({ name }) => name);
  const way = (path: string) =>
    path.split("/").reduce<number | undefined>((at, name) => at && inodes.child(at, name), ROOT_INODE);
  const paths = ["d/e", "kept", "other", "not/there"];
  const before = new Map(paths.map((path) => [path, way(path)]));

  const held = switchTo(inodes, release({ d: "a file", other: "y", "kept/file": "x", new: "x" }, 2), paths);
  t.same(held, ["d/e", "other"], "only names that the new release removes or changes are held");
  for (const path of paths) t.equal(way(path), before.get(path), path);
  t.same(names(ROOT_INODE).sort(), ["d", "kept", "new", "other"], "each once");
  const d = way("d")!;
  t.match(inodes.get(d), { node: { entry: { kind: "directory" } }, served: { release: { number: 1 } } });
  t.same(names(d), ["e"], "the held directory contains nothing else");
  t.equal(way("d/file"), undefined);
  t.same(names(way("d/e")!), []);

  t.same(inodes.stillMountedOn(["d/e"]), ["d/e"]);
  t.not(way("other"), before.get("other"), "after its unmount, the name refers to release 2");
  t.equal(way("d/e"), before.get("d/e"));

  t.same(
    switchTo(inodes, release({ "d/file": "z", "d/e/below": "x" }, 3), ["d/e"]),
    [],
    "nothing is held when the release has the names again",
  );
  t.equal(way("d"), d, "the directory keeps its inode");
  t.equal(way("d/e"), before.get("d/e"));
  t.same(names(d), ["e", "file"]);
  t.same(
    [way("d/e"), d].map((inode) => inodes.parent(inodes.get(inode!)!)),
    [d, ROOT_INODE],
  );
  t.same(switchTo(inodes, release({}, 4), ["d/e"]), ["d/e"]);
  t.same(
    switchTo(inodes, release({ new: "x" }, 5), ["d/e"]),
    ["d/e"],
    "the name is held over more than one switch",
  );
  t.equal(way("d/e"), before.get("d/e"));
  t.same(inodes.stillMountedOn([]), []);
  t.same([way("d"), inodes.get(d)], [undefined, undefined]);
});

t.test(
  "a file in another chunk keeps its inode if both were read whole and have the same hash",
  async (t) => {
    const content = createHash("sha256").update("x").digest();
    const inChunk = (chunk: string, sha256: Buffer, number: number) => {
      const extents = [{ chunk: 0, offset: number, length: 1 }];
      const entry = { path: "file", modified: 0n, size: 1, sha256, executable: false, extents };
      const chunks = [{ sha256: createHash("sha256").update(chunk).digest(), size: 9 }];
      const one = served(Tree.of({ chunks, entries: [{ kind: "file", ...entry }] }, 0n), number);
      return { ...one, file: one.tree.find("file")!.entry as TreeFile };
    };
    const first = inChunk("pack", content, 1);
    const inodes = new Inodes(first);
    const before = inodeOf(inodes, "file");
    first.file.checked = true;
    const checked = inChunk("another pack", content, 2);
    checked.file.checked = true;
    switchTo(inodes, checked);
    t.equal(inodeOf(inodes, "file"), before);
    switchTo(inodes, inChunk("a third", content, 3));
    const unread = inodeOf(inodes, "file");
    t.not(unread, before, "an unread file gets a new inode, since its hash is only the publisher's claim");
    const changed = inChunk("a fourth", createHash("sha256").update("y").digest(), 4);
    changed.file.checked = true;
    switchTo(inodes, changed);
    t.not(inodeOf(inodes, "file"), unread);
  },
);

t.test(
  "chunks listed without hashes are equal if they are the same one, or once their hashes are equal",
  async (t) => {
    const known = new Map<Chunk, ChunkReference>();
    const listed = (name: string): Chunk => ({ sha256: undefined, name, size: 1 });
    const learn = (chunk: Chunk, content: string) =>
      known.set(chunk, { sha256: createHash("sha256").update(content).digest(), size: 1 });
    const release = (number: number, chunk: Chunk) => {
      const file: TreeFile = {
        kind: "file",
        path: "file",
        modified: 0n,
        size: 1,
        sha256: undefined,
        executable: false,
        extents: [{ chunk: 0, offset: 0, length: 1 }],
      };
      const content = { chunks: [chunk], entries: [file], known: (one: Chunk) => known.get(one) ?? one };
      return served(Tree.of(content, 0n), number);
    };
    const [a, b, c, d] = ["a", "b", "c", "d"].map(listed);
    const inodes = new Inodes(release(1, a!));
    const first = inodeOf(inodes, "file");
    switchTo(inodes, release(2, a!));
    t.equal(inodeOf(inodes, "file"), first, "a file in the same chunk keeps its inode");
    switchTo(inodes, release(3, b!));
    const second = inodeOf(inodes, "file");
    t.not(second, first, "a file in another chunk gets a new inode while neither hash is known");
    learn(b!, "x");
    switchTo(inodes, release(4, c!));
    const third = inodeOf(inodes, "file");
    t.not(third, second, "of one");
    learn(c!, "x");
    learn(d!, "x");
    switchTo(inodes, release(5, d!));
    t.equal(
      inodeOf(inodes, "file"),
      third,
      "the inode stays once both chunks are known to have the same hash",
    );
    learn(a!, "y");
    switchTo(inodes, release(6, a!));
    t.not(inodeOf(inodes, "file"), third, "or not");
  },
);

t.test("a large directory is listed once for all readers, and again after a switch", async (t) => {
  const names = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`d/${i}`, "x"]));
  const inodes = new Inodes(release(names(1000), 0));
  const d = inodeOf(inodes, "d")!;
  const before = inodes.children(d);
  t.equal(inodes.children(d), before, "a second listing returns the same array");
  switchTo(inodes, release(names(999), 1));
  t.equal(inodes.children(d).length, 999, "the listing after a switch is that of the live release");
  t.equal(before.length, 1000, "a reader that has begun to list keeps the old listing");
});
