/** Several trees below one root: which tree an inode belongs to, what the root shows, and what is left of a tree that has gone. */
import t from "tap";
import { type FileSystem, ROOT_INODE } from "../../../lib/fs/view/filesystem.ts";
import { JoinedFileSystem } from "../../../lib/fs/view/joined-filesystem.ts";
import { noReaders, TreeFileSystem } from "../../../lib/fs/view/tree-filesystem.ts";
import { atOnce } from "../../../lib/steps.ts";
import { type Chunk, Tree } from "../../../lib/tree/tree.ts";
import { served } from "../../support/served.ts";
import { open } from "./over-tree.ts";

const hashes = new Map<string, Buffer>();
/** A stand-in for the hash of a one-byte text: that byte, 32 times. */
function hashOf(text: string): Buffer {
  const hash = hashes.get(text) ?? Buffer.alloc(32, text);
  hashes.set(text, hash);
  return hash;
}

/** A release of files of one byte, in a directory called `dir`. */
function release(number: number, files: Readonly<Record<string, string>>) {
  const chunks: Chunk[] = [];
  const entries = Object.entries(files).map(([name, text]) => {
    chunks.push({ sha256: hashOf(text), size: 1 });
    const extents = [{ chunk: chunks.length - 1, offset: 0, length: 1 }];
    const times = { modified: 1n, size: 1, sha256: hashOf(text), executable: false };
    return { kind: "file" as const, path: `dir/${name}`, ...times, extents };
  });
  const directory = { kind: "directory" as const, path: "dir", modified: 1n };
  return served(Tree.of({ chunks, entries: [directory, ...entries] }, 5n), number);
}

/** A chunk's one byte is the byte that its hash repeats. */
const CHUNKS = {
  get: async (chunk: Chunk) => Buffer.from(chunk.sha256!.subarray(0, 1)),
  prefetch: () => {},
};

function joined(trees: Readonly<Record<string, ReturnType<typeof release>>>) {
  const clock = { now: 1000 };
  const root = new JoinedFileSystem("canister", () => clock.now);
  const statistics = noReaders();
  const add = (name: string, first: ReturnType<typeof release>) => {
    const numbers = root.numbers();
    const options = { canister: "canister", listXattrs: true, numbers, statistics };
    const part = new TreeFileSystem(first, CHUNKS, options);
    root.link(name, part);
    return part;
  };
  const parts = Object.entries(trees).map(([name, first]) => add(name, first));
  return { root, parts, add, clock, statistics };
}

function walk(fileSystem: FileSystem, path: string): number {
  return path
    .split("/")
    .filter(Boolean)
    .reduce((inode, name) => fileSystem.lookup(inode, name), ROOT_INODE);
}

function all(fileSystem: FileSystem, inode = ROOT_INODE): number[] {
  const { kind } = fileSystem.getattr(inode);
  const below = kind === "directory" ? fileSystem.readdir(inode) : [];
  return [inode, ...below.flatMap((entry) => all(fileSystem, entry.inode))];
}

async function text(fileSystem: FileSystem, path: string): Promise<string> {
  const handle = open(fileSystem, walk(fileSystem, path));
  const pieces = await fileSystem.read(handle, 0, 10);
  fileSystem.release(handle);
  return Buffer.concat(pieces).toString();
}

t.test("the root shows a directory for each tree", async (t) => {
  const { root, clock, add } = joined({ stable: release(1, { a: "x" }), canary: release(2, { a: "y" }) });
  t.same(
    root.readdir(ROOT_INODE).map(({ name, kind }) => [name, kind]),
    [
      ["canary", "directory"],
      ["stable", "directory"],
    ],
    "in order",
  );
  t.match(root.getattr(ROOT_INODE), { kind: "directory", links: 4, modified: 1_000_000_000n });
  t.equal(root.parent(ROOT_INODE), ROOT_INODE);
  clock.now = 2000;
  add("beta", release(3, {}));
  t.match(root.getattr(ROOT_INODE), { links: 5, modified: 2_000_000_000n, changed: 2_000_000_000n });
  t.equal(root.readdir(ROOT_INODE)[0]!.name, "beta");
  t.throws(() => root.lookup(ROOT_INODE, "gamma"), /ENOENT/);
  t.throws(() => root.open(ROOT_INODE), /EISDIR/);
  t.throws(() => root.readlink(ROOT_INODE), /EINVAL/);
  t.equal(Buffer.from(root.getxattr(ROOT_INODE, "user.icfs.canister")).toString(), "canister");
  t.throws(() => root.getxattr(ROOT_INODE, "user.icfs.release"), /ENODATA/);
  t.same(root.listxattr(ROOT_INODE), []);
});

t.test("each inode belongs to one file in one tree", async (t) => {
  const { root, statistics } = joined({
    stable: release(1, { a: "x", b: "x" }),
    canary: release(2, { a: "y" }),
  });
  const inodes = all(root);
  t.equal(inodes.length, 1 + 4 + 3);
  t.equal(new Set(inodes).size, inodes.length);
  t.ok(
    inodes.every((inode) => inode >= ROOT_INODE && inode < 2 ** 32),
    "inodes are within the range that the transports support",
  );
  t.equal(await text(root, "stable/dir/a"), "x");
  t.equal(await text(root, "canary/dir/a"), "y");
  t.match(statistics, { opens: 2, reads: 2, bytes: 2 }, "the readers of all trees are counted together");
  for (const name of ["stable", "canary"]) {
    const directory = walk(root, `${name}/dir`);
    t.equal(root.parent(directory), walk(root, name));
    t.equal(root.parent(walk(root, name)), ROOT_INODE);
    t.match(root.getattr(walk(root, name)), { kind: "directory", links: 3, modified: 5n });
  }
  const release2 = root.getxattr(walk(root, "canary/dir/a"), "user.icfs.release");
  t.equal(Buffer.from(release2).toString(), "2");
  t.ok(root.listxattr(walk(root, "canary/dir/a")).includes("user.icfs.origin"));
  for (const inode of [0, 77, 2 ** 16 - 1, 2 ** 31, 2 ** 40]) t.throws(() => root.getattr(inode), /ENOENT/);
  await t.rejects(root.read(99, 0, 1), /EBADF/);
});

t.test("a tree with more nodes than a block of numbers works beside another", async (t) => {
  const many = Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`f${i}`, "x"]));
  const { root, parts } = joined({ many: release(1, many), few: release(1, { a: "z" }) });
  const inodes = all(root);
  t.equal(new Set(inodes).size, inodes.length);
  t.equal(await text(root, "many/dir/f69999"), "x");
  t.equal(await text(root, "few/dir/a"), "z");
  const kept = walk(root, "many/dir/f3");
  atOnce(parts[0]!.prepare(release(2, { ...many, f0: "y", new: "n" })))([]);
  t.equal(walk(root, "many/dir/f3"), kept, "an unchanged file keeps its inode");
  t.equal(await text(root, "many/dir/f0"), "y");
  t.equal(await text(root, "many/dir/new"), "n");
  t.equal(new Set(all(root)).size, inodes.length + 1);
});

t.test("when one tree switches, the others stay unchanged", async (t) => {
  const { root, parts } = joined({ stable: release(1, { a: "x" }), canary: release(1, { a: "x" }) });
  const before = ["stable", "canary"].map((name) => walk(root, `${name}/dir/a`));
  root.retain(before[0]!);
  const handle = open(root, before[0]!);
  atOnce(parts[0]!.prepare(release(2, { a: "y" })))([]);
  t.equal(await text(root, "stable/dir/a"), "y");
  t.not(walk(root, "stable/dir/a"), before[0]);
  t.equal(walk(root, "canary/dir/a"), before[1]);
  t.equal(await text(root, "canary/dir/a"), "x");
  t.equal(
    Buffer.concat(await root.read(handle, 0, 1)).toString(),
    "x",
    "an open handle still reads the old content",
  );
  t.equal(root.getattr(before[0]!).size, 1);
  root.release(handle);
  root.forget(before[0]!);
  t.throws(() => root.getattr(before[0]!), /ENOENT/);
});

t.test("a removed tree is still served to those who hold it, and its name can be used again", async (t) => {
  const { root, add, clock } = joined({ canary: release(1, { a: "x" }) });
  const directory = walk(root, "canary");
  const file = walk(root, "canary/dir/a");
  const handle = open(root, file);
  clock.now = 3000;
  root.unlink("canary");
  t.same(root.readdir(ROOT_INODE), []);
  t.match(root.getattr(ROOT_INODE), { links: 2, modified: 3_000_000_000n });
  t.throws(() => root.lookup(ROOT_INODE, "canary"), /ENOENT/);
  t.equal(Buffer.concat(await root.read(handle, 0, 1)).toString(), "x");
  t.equal(root.parent(directory), ROOT_INODE);
  root.release(handle);
  await t.rejects(root.read(handle, 0, 1), /EBADF/);
  add("canary", release(2, { a: "y" }));
  t.not(walk(root, "canary"), directory, "the new directory has another inode");
  t.not(walk(root, "canary/dir/a"), file);
  t.equal(await text(root, "canary/dir/a"), "y");
});

t.test("a file whose opening is delayed gets a handle of its own", async (t) => {
  const root = new JoinedFileSystem("canister");
  const opened = Promise.withResolvers<void>();
  const numbers = root.numbers();
  const options = { canister: "canister", listXattrs: false, numbers, beforeOpen: () => opened.promise };
  root.link("late", new TreeFileSystem(release(1, { a: "x" }), CHUNKS, options));
  const other = new TreeFileSystem(release(1, { a: "y" }), CHUNKS, {
    canister: "canister",
    listXattrs: false,
    numbers: root.numbers(),
  });
  root.link("now", other);
  const late = root.open(walk(root, "late/dir/a"));
  const now = open(root, walk(root, "now/dir/a"));
  opened.resolve();
  const handle = await late;
  t.not(handle, now);
  t.equal(Buffer.concat(await root.read(handle, 0, 1)).toString(), "x");
  t.equal(Buffer.concat(await root.read(now, 0, 1)).toString(), "y");
});
