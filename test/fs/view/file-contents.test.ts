/** Files that are cut into very small extents, opened often, or open for long: their memory and time, and that reads are right. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import t from "tap";
import { ROOT_INODE } from "../../../lib/fs/view/filesystem.ts";
import { TreeFileSystem } from "../../../lib/fs/view/tree-filesystem.ts";
import { atOnce } from "../../../lib/steps.ts";
import type { Entry } from "../../../lib/tree/manifest.ts";
import { type Chunk, type Chunks, Tree, type TreeContent } from "../../../lib/tree/tree.ts";
import { served } from "../../support/served.ts";
import { fileSystemOver, open } from "./over-tree.ts";

/** A file of `extents` extents of one byte each, which take the given chunks in turn. */
function crumbs(extents: number, chunks: readonly Chunk[]): TreeContent {
  const file: Entry = {
    kind: "file",
    path: "file",
    modified: 0n,
    size: extents,
    sha256: Buffer.alloc(32),
    executable: false,
    extents: Array.from({ length: extents }, (_, i) => ({
      chunk: i % chunks.length,
      offset: i % 7,
      length: 1,
    })),
  };
  return { chunks, entries: [file] };
}

/** A chunk for each number. */
function numbered(count: number): Chunk[] {
  return Array.from({ length: count }, (_, i) => {
    const sha256 = Buffer.alloc(32);
    sha256.writeUInt32BE(i);
    return { sha256, size: 10 };
  });
}

t.test("a file's extents are in memory once, however often the file is open", async (t) => {
  const extents = 200_000;
  const bytes = Buffer.from("abcdefg");
  const chunks: Chunks = { get: async () => bytes, prefetch() {} };
  const fileSystem = fileSystemOver(crumbs(extents, numbered(1)), chunks);
  const inode = fileSystem.lookup(ROOT_INODE, "file");
  const taken = () => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const first = open(fileSystem, inode);
  const before = taken();
  const handles = Array.from({ length: 200 }, () => open(fileSystem, inode));
  // One number for each extent and handle would take 320 MB.
  t.ok(taken() - before < 80e6, `${taken() - before} bytes for 200 handles`);
  fileSystem.release(first);
  for (const handle of handles.splice(1)) fileSystem.release(handle);
  const got = Buffer.concat(await fileSystem.read(handles[0]!, 6, 3));
  t.equal(got.toString(), "gab", "a handle that is still open can be read");
});

t.test("a read of a file in tiny extents fetches only a few chunks at once", async (t) => {
  const different = 5000;
  let underWay = 0;
  let most = 0;
  const chunks: Chunks = {
    async get() {
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise((resolve) => setImmediate(resolve));
      underWay -= 1;
      return Buffer.from("abcdefg");
    },
    prefetch() {},
  };
  const fileSystem = fileSystemOver(crumbs(different, numbered(different)), chunks);
  const handle = open(fileSystem, fileSystem.lookup(ROOT_INODE, "file"));
  const expected = Buffer.from(Array.from({ length: different }, (_, i) => 97 + (i % 7)));
  t.ok(expected.equals(Buffer.concat(await fileSystem.read(handle, 0, different))));
  t.ok(most <= 16, `${most} chunks at once`);
});

t.test("a chunk that one read needs many times is fetched only a few times", async (t) => {
  const extents = 200_000;
  let asked = 0;
  let turns = 0;
  const chunks: Chunks = {
    async get() {
      asked += 1;
      return Buffer.from("abcdefg");
    },
    prefetch() {},
  };
  const fileSystem = fileSystemOver(crumbs(extents, numbered(2)), chunks);
  const handle = open(fileSystem, fileSystem.lookup(ROOT_INODE, "file"));
  let over = false;
  const turn = () => {
    turns += 1;
    if (!over) setImmediate(turn);
  };
  setImmediate(turn);
  const got = Buffer.concat(await fileSystem.read(handle, 0, extents));
  over = true;
  t.equal(got.length, extents);
  t.equal(got[199_999], 97 + (199_999 % 7));
  t.ok(asked <= 200, `chunks are requested ${asked} times`);
  t.ok(turns >= 20, `other work gets ${turns} turns during the read`);
});

t.test("a read times out as a whole, however many chunks it needs", async (t) => {
  let asked = 0;
  const chunks: Chunks = {
    // Each chunk comes within the read's time limit, but all of them together do not.
    async get() {
      asked += 1;
      await new Promise((resolve) => setTimeout(resolve, 15));
      return Buffer.from("abcdefg");
    },
    prefetch() {},
  };
  const tree = Tree.of(crumbs(100_000, numbered(100_000)), 0n);
  const fileSystem = new TreeFileSystem(served(tree, 1), chunks, {
    canister: "aaaaa-aa",
    listXattrs: false,
    readTimeout: 200,
  });
  const handle = open(fileSystem, fileSystem.lookup(ROOT_INODE, "file"));
  await t.rejects(fileSystem.read(handle, 0, 100_000), { message: /^EIO: file: no answer within/ });
  const then = asked;
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.ok(asked <= then + 16, "chunks are no longer requested after the timeout");
});

t.test("an open file does not keep the tree of its release in memory", async (t) => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const bytes = Buffer.from("abcdefg");
  const chunks: Chunks = { get: async () => bytes, prefetch() {} };
  const entries = [
    { kind: "directory", path: "d", modified: 1_000_000n } satisfies Entry,
    ...crumbs(10, numbered(1)).entries,
  ];
  let first: Tree | undefined = Tree.of({ chunks: numbered(1), entries }, 0n);
  const tree = new WeakRef(first);
  const fileSystem = new TreeFileSystem(served(first, 1), chunks, { canister: "aaaaa-aa", listXattrs: true });
  first = undefined;
  const inode = fileSystem.lookup(ROOT_INODE, "file");
  const gone = fileSystem.lookup(ROOT_INODE, "d");
  for (const known of [inode, gone]) fileSystem.retain(known);
  const handle = open(fileSystem, inode);
  const before = [fileSystem.getattr(inode), fileSystem.getattr(gone)];
  for (let number = 2; number < 4; number++) {
    const next = Tree.of(crumbs(3 * number, numbered(1)), BigInt(number));
    atOnce(fileSystem.prepare(served(next, number)))([]);
  }
  for (let i = 0; i < 10 && tree.deref() !== undefined; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  t.equal(tree.deref(), undefined);
  t.equal(Buffer.concat(await fileSystem.read(handle, 0, 100)).toString(), "abcdefgabc");
  t.same([fileSystem.getattr(inode), fileSystem.getattr(gone)], before);
  t.equal(fileSystem.getxattr(inode, "user.icfs.release").toString(), "1");
  const again = open(fileSystem, inode);
  t.equal(
    Buffer.concat(await fileSystem.read(again, 8, 100)).toString(),
    "bc",
    "the file can be opened again",
  );
  t.same(fileSystem.readdir(gone), []);
});
