/** The file system over a tree, compared with a plain model: buffers by path. */
import fc from "fast-check";
import t from "tap";
import { type FileSystem, FsError, ROOT_INODE } from "../../../lib/fs/view/filesystem.ts";
import { TreeFileSystem } from "../../../lib/fs/view/tree-filesystem.ts";
import type { Entry } from "../../../lib/tree/manifest.ts";
import { type Chunk, type Chunks, Tree, type TreeContent } from "../../../lib/tree/tree.ts";
import { served } from "../../support/served.ts";
import { fileSystemOver, open } from "./over-tree.ts";

/** The chunks of a manifest, by their references. */
class Store implements Chunks {
  readonly prefetched: Chunk[] = [];
  readonly asked: Chunk[] = [];
  broken = false;
  readonly #bytes: ReadonlyMap<Chunk, Buffer>;

  constructor(bytes: ReadonlyMap<Chunk, Buffer>) {
    this.#bytes = bytes;
  }

  async get(reference: Chunk): Promise<Buffer> {
    this.asked.push(reference);
    if (this.broken) throw new Error("no answer within the read timeout");
    return this.#bytes.get(reference)!;
  }

  prefetch(reference: Chunk): void {
    this.prefetched.push(reference);
  }
}

interface Made {
  readonly fileSystem: FileSystem;
  readonly store: Store;
  readonly manifest: TreeContent;
}

/** Files cut into extents of the given lengths; each extent lies in a chunk with other bytes around it. */
function make(files: Readonly<Record<string, readonly Buffer[]>>, others: readonly Entry[] = []): Made {
  const bytes = new Map<Chunk, Buffer>();
  const chunks: Chunk[] = [];
  const entries: Entry[] = Object.entries(files).map(([path, pieces]) => {
    const extents = pieces.map((piece, i) => {
      const before = Buffer.alloc((i * 7 + path.length) % 5, 0xee);
      const content = Buffer.concat([before, piece, Buffer.alloc(3, 0xee)]);
      const reference = { sha256: Buffer.alloc(32, chunks.length), size: content.length };
      bytes.set(reference, content);
      chunks.push(reference);
      return { chunk: chunks.length - 1, offset: before.length, length: piece.length };
    });
    const size = extents.reduce((sum, { length }) => sum + length, 0);
    return {
      kind: "file",
      path,
      modified: 5_000_000n,
      size,
      sha256: Buffer.alloc(32),
      executable: false,
      extents,
    };
  });
  const all = [...entries, ...others].sort((a, b) => (a.path < b.path ? -1 : 1));
  const manifest: TreeContent = { chunks, entries: all };
  const store = new Store(bytes);
  return { fileSystem: fileSystemOver(manifest, store), store, manifest };
}

const directory = (path: string): Entry => ({ kind: "directory", path, modified: 1_000_000n });
const link = (path: string, target: string): Entry => ({ kind: "symlink", path, modified: 0n, target });

/** The error's code, as the transport turns it into an errno. */
function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof FsError) return error.errno;
    throw error;
  }
  return "none";
}

t.test("any read of any file returns the bytes that a buffer would", async (t) => {
  const piece = fc.integer({ min: 1, max: 40 });
  const read = fc.record({ offset: fc.nat(260), length: fc.nat(120) });
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(piece, { maxLength: 6 }), { minLength: 1, maxLength: 4 }),
      fc.array(fc.tuple(fc.nat(3), read), { minLength: 1, maxLength: 30 }),
      async (layout, reads) => {
        let next = 0;
        const model = layout.map((lengths) =>
          lengths.map((length) => Buffer.from(Array.from({ length }, () => next++ % 251))),
        );
        const { fileSystem } = make(Object.fromEntries(model.map((pieces, i) => [`f${i}`, pieces])));
        const handles = model.map((_, i) => open(fileSystem, fileSystem.lookup(ROOT_INODE, `f${i}`)));
        // All reads at once, as the kernel sends them.
        await Promise.all(
          reads.map(async ([file, { offset, length }]) => {
            const i = file % model.length;
            const got = Buffer.concat(await fileSystem.read(handles[i]!, offset, length));
            const expected = Buffer.concat(model[i]!).subarray(offset, offset + length);
            if (!expected.equals(got)) throw new Error(`f${i} at ${offset}, ${length} bytes`);
            compared += 1;
          }),
        );
      },
    ),
    { numRuns: 300 },
  );
  t.ok(compared >= 300, `${compared} reads of 300 random trees`);
});

t.test("lookup and readdir find every entry of a random tree", async (t) => {
  const name = fc.constantFrom("a", "b", "ü", "🥾", "…", "-", "A");
  await fc.assert(
    fc.property(
      fc.uniqueArray(fc.array(name, { minLength: 1, maxLength: 4 }), { maxLength: 20 }),
      (paths) => {
        const directories = new Set<string>();
        for (const path of paths)
          for (let i = 1; i <= path.length; i++) directories.add(path.slice(0, i).join("/"));
        const entries = [...directories].map(directory);
        entries.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
        const fileSystem = fileSystemOver({ chunks: [], entries }, new Store(new Map()));
        const found: string[] = [];
        const visit = (inode: number, path: string) => {
          const children = fileSystem.readdir(inode);
          if (fileSystem.getattr(inode).links !== 2 + children.length) throw new Error(`links of ${path}`);
          for (const child of children) {
            const below = path === "" ? child.name : `${path}/${child.name}`;
            if (fileSystem.lookup(inode, child.name) !== child.inode) throw new Error(`inode of ${below}`);
            found.push(below);
            visit(child.inode, below);
          }
        };
        visit(ROOT_INODE, "");
        t.same(found.sort(), [...directories].sort());
      },
    ),
    { numRuns: 50 },
  );
});

t.test("attributes", async (t) => {
  const { fileSystem } = make({ "d/file": [Buffer.alloc(10), Buffer.alloc(5)] }, [
    directory("d"),
    directory("d/sub"),
    link("link", "d/ü"),
  ]);
  const d = fileSystem.lookup(ROOT_INODE, "d");
  t.same(fileSystem.getattr(ROOT_INODE), {
    inode: ROOT_INODE,
    kind: "directory",
    size: 4096,
    executable: false,
    modified: 7_000_000n,
    changed: 7_000_000n,
    links: 3,
  });
  t.match(fileSystem.getattr(d), { kind: "directory", links: 3, modified: 1_000_000n });
  t.match(fileSystem.getattr(fileSystem.lookup(d, "file")), {
    kind: "file",
    size: 15,
    links: 1,
    modified: 5_000_000n,
  });
  const inode = fileSystem.lookup(ROOT_INODE, "link");
  t.match(
    fileSystem.getattr(inode),
    { kind: "symlink", size: 4 },
    "a symlink's size is the length of its target in bytes",
  );
  t.equal(fileSystem.readlink(inode), "d/ü");
});

t.test("each error has its errno", async (t) => {
  const { fileSystem, store } = make({ file: [Buffer.from("abc")] }, [directory("d"), link("link", "file")]);
  const inode = (name: string) => fileSystem.lookup(ROOT_INODE, name);
  t.equal(
    codeOf(() => inode("nothing")),
    "ENOENT",
  );
  t.equal(
    codeOf(() => inode("..")),
    "ENOENT",
    "`..` is not found, because the kernel resolves it itself",
  );
  t.equal(
    codeOf(() => fileSystem.lookup(inode("file"), "x")),
    "ENOTDIR",
  );
  t.equal(
    codeOf(() => fileSystem.readdir(inode("file"))),
    "ENOTDIR",
  );
  t.equal(
    codeOf(() => fileSystem.getattr(999)),
    "ENOENT",
  );
  t.equal(
    codeOf(() => fileSystem.getattr(0)),
    "ENOENT",
  );
  t.equal(
    codeOf(() => fileSystem.readlink(inode("file"))),
    "EINVAL",
  );
  t.equal(
    codeOf(() => open(fileSystem, inode("d"))),
    "EISDIR",
  );
  t.equal(
    codeOf(() => open(fileSystem, inode("link"))),
    "EINVAL",
  );
  const handle = open(fileSystem, inode("file"));
  store.broken = true;
  await t.rejects(fileSystem.read(handle, 0, 3), { message: /^EIO: file: no answer within/ });
  store.broken = false;
  t.same(
    await fileSystem.read(handle, 0, 3),
    [Buffer.from("abc")],
    "the handle still works after a failed read",
  );
  fileSystem.release(handle);
  await t.rejects(fileSystem.read(handle, 0, 3), { message: /^EBADF: / });
});

t.test("metadata operations do not fetch chunks", async (t) => {
  const { fileSystem, store } = make({ file: [Buffer.from("abc")], empty: [] });
  for (const name of ["file", "empty"])
    fileSystem.release(open(fileSystem, fileSystem.lookup(ROOT_INODE, name)));
  fileSystem.getattr(fileSystem.lookup(ROOT_INODE, "file"));
  const empty = open(fileSystem, fileSystem.lookup(ROOT_INODE, "empty"));
  t.equal((await fileSystem.read(empty, 0, 10)).length, 0);
  const file = open(fileSystem, fileSystem.lookup(ROOT_INODE, "file"));
  t.equal((await fileSystem.read(file, 3, 10)).length, 0);
  t.same([store.asked, store.prefetched], [[], []], "a read past the end fetches no chunk either");
});

t.test("chunks are read ahead for a sequential reader, but not after a jump", async (t) => {
  const pieces = Array.from({ length: 30 }, () => Buffer.alloc(10));
  const { fileSystem, store, manifest } = make({ file: pieces });
  const numbers = () => store.prefetched.splice(0).map((reference) => manifest.chunks.indexOf(reference));
  const inode = fileSystem.lookup(ROOT_INODE, "file");
  const handle = open(fileSystem, inode);
  await fileSystem.read(handle, 0, 10);
  const ahead = Array.from({ length: 16 }, (_, i) => i + 1);
  t.same(numbers(), ahead);
  await fileSystem.read(handle, 10, 10);
  t.ok(numbers().includes(17), "the read-ahead window moves on");
  await fileSystem.read(handle, 200, 10);
  t.same(numbers(), [], "a jump");
  await fileSystem.read(handle, 280, 20);
  t.same(numbers(), [], "a second jump, up to the end");
  const other = open(fileSystem, inode);
  await fileSystem.read(other, 0, 300);
  t.same(numbers(), [], "nothing is read ahead past the end");
});

t.test("for a reader of one file after another, the next files are read ahead", async (t) => {
  const names = Array.from({ length: 30 }, (_, i) => `file-${String(i).padStart(2, "0")}`);
  const { fileSystem, store, manifest } = make(
    Object.fromEntries(names.map((name) => [name, [Buffer.from(name)]])),
  );
  const ahead = async (i: number) => {
    const handle = open(fileSystem, fileSystem.lookup(ROOT_INODE, names[i]!));
    await fileSystem.read(handle, 0, 10);
    fileSystem.release(handle);
    return store.prefetched.splice(0).map((reference) => manifest.chunks.indexOf(reference));
  };
  t.same(
    [await ahead(4), await ahead(5)],
    [[], []],
    "two neighbouring files are not enough to start reading ahead",
  );
  t.same(
    await ahead(6),
    Array.from({ length: 16 }, (_, i) => 7 + i),
  );
  t.same(await ahead(20), [], "a jump");
  t.ok((await ahead(7)).includes(23), "another reader does not stop the read-ahead");
  for (let i = 8; i < 29; i++) await ahead(i);
  t.same(await ahead(29), [], "nothing is read ahead after the last file");
});

t.test("each opened file is reported done once, when it is closed or fails to open", async (t) => {
  const { manifest, store } = make({ file: [Buffer.alloc(10)] });
  let open = 0;
  let refuse: () => Promise<void> | undefined = () => undefined;
  const fileSystem = new TreeFileSystem(served(Tree.of(manifest, 0n), 1), store, {
    canister: "aaaaa-aa",
    listXattrs: false,
    onOpen: () => {
      open += 1;
    },
    onDone: () => {
      open -= 1;
    },
    beforeOpen: () => refuse(),
  });
  const file = fileSystem.lookup(ROOT_INODE, "file");
  const handle = await fileSystem.open(file);
  t.equal(open, 1);
  fileSystem.release(handle);
  fileSystem.release(handle);
  t.equal(open, 0, "a file that is released twice is reported done once");
  refuse = () => {
    throw new Error("too old");
  };
  t.equal(
    codeOf(() => fileSystem.open(file)),
    "EIO",
  );
  t.equal(open, 0);
  refuse = () => Promise.reject(new Error("not all of it is here"));
  const waiting = fileSystem.open(file);
  t.equal(open, 1, "a file counts as open while its opening is pending");
  await t.rejects(Promise.resolve(waiting), { message: /^EIO: / });
  t.equal(open, 0);
  refuse = () => Promise.resolve();
  await fileSystem.open(file);
  t.equal(open, 1);
});
