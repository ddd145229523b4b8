/** `--open whole`, over a cache of the test's own: open() succeeds once all of the file is here and verified, and it stays. */
import { createHash } from "node:crypto";
import t from "tap";
import { type HoldingChunks, WholeFiles } from "../../lib/mount/whole-files.ts";
import { type Chunk, keyOf, Tree, type TreeFile } from "../../lib/tree/tree.ts";
import { HUNG } from "../support/icfs.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
const PIECES = [Buffer.from("one "), Buffer.from("two "), Buffer.from("three")];

/** A tree with one file of all the pieces. */
function treeWith(hash = sha256(Buffer.concat(PIECES))): { tree: Tree; file: TreeFile } {
  const file: TreeFile = {
    kind: "file",
    path: "initrd",
    modified: 0n,
    size: Buffer.concat(PIECES).length,
    sha256: hash,
    executable: false,
    extents: PIECES.map(({ length }, chunk) => ({ chunk, offset: 0, length })),
  };
  const chunks = PIECES.map((piece) => ({ sha256: sha256(piece), size: piece.length }));
  return { tree: Tree.of({ chunks, entries: [file] }, 0n), file };
}

/** A cache with pins and room for so many chunks. */
class Cache implements HoldingChunks {
  readonly held = new Set<string>();
  readonly pinned = new Map<string, readonly string[]>();
  readonly #room: number;
  readonly #late: Promise<unknown>;

  constructor(room = PIECES.length, late: Promise<unknown> = Promise.resolve()) {
    this.#room = room;
    this.#late = late;
  }
  async get(chunk: Chunk): Promise<Buffer> {
    await this.#late;
    return PIECES.find((piece) => keyOf(chunk) === sha256(piece).toString("hex"))!;
  }
  prefetch(): void {}
  hold() {
    const own: string[] = [];
    return {
      keep: async (chunk: Chunk) => {
        if (this.held.has(keyOf(chunk))) return true;
        if (this.held.size >= this.#room) return false;
        this.held.add(keyOf(chunk));
        own.push(keyOf(chunk));
        return true;
      },
      letGo: () => {
        for (const key of own) this.held.delete(key);
      },
    };
  }
  async pin(name: string, keys: Iterable<string>): Promise<void> {
    this.pinned.set(name, [...keys]);
  }
  async unpin(name: string): Promise<void> {
    this.pinned.delete(name);
  }
}

t.test("an open file is held and pinned until it has been closed as often as opened", async (t) => {
  const { tree, file } = treeWith();
  const cache = new Cache();
  const whole = new WholeFiles(cache, cache, HUNG);
  await whole.opening(file, tree);
  await whole.opening(file, tree);
  const keys = tree.chunks.map(keyOf);
  t.strictSame([...cache.held], keys);
  t.strictSame([...cache.pinned.values()], [keys]);
  whole.closed(file);
  t.strictSame([...cache.held], keys, "the chunks stay held while the file is still open once");
  whole.closed(file);
  t.strictSame([...cache.held], []);
  t.equal(cache.pinned.size, 0);
});

t.test("a file that does not fit is not opened, and its held chunks are released", async (t) => {
  const { tree, file } = treeWith();
  const cache = new Cache(PIECES.length - 1);
  await t.rejects(new WholeFiles(cache, cache, HUNG).opening(file, tree), {
    message: /larger than the cache has room for/,
  });
  t.strictSame([...cache.held], []);
  t.equal(cache.pinned.size, 0);
});

t.test("a file with a wrong hash, or one that arrives too late, is not opened", async (t) => {
  const wrong = treeWith(Buffer.alloc(32));
  const cache = new Cache();
  await t.rejects(new WholeFiles(cache, cache, HUNG).opening(wrong.file, wrong.tree), {
    message: /^the file's SHA-256 is/,
  });
  t.equal(cache.pinned.size, 0);

  const never = new Cache(PIECES.length, new Promise(() => {}));
  const { tree, file } = treeWith();
  await t.rejects(new WholeFiles(never, undefined, 20).opening(file, tree), { message: /--open-timeout/ });
  t.strictSame([...never.held], []);
});

t.test("a file opened by many at once is fetched once, and each of its chunks is kept once", async (t) => {
  const times = 1000;
  const all = Buffer.concat(Array.from({ length: times }, () => Buffer.concat(PIECES)));
  const whole = treeWith();
  const extents = Array.from({ length: times }, () => whole.file.extents).flat();
  const file = { ...whole.file, size: all.length, sha256: sha256(all), extents };
  const tree = Tree.of({ chunks: whole.tree.chunks, entries: [file] }, 0n);
  const cache = new Cache();
  let asked = 0;
  const counted: HoldingChunks = {
    get: (chunk) => {
      asked += 1;
      return cache.get(chunk);
    },
    prefetch() {},
    hold: () => cache.hold(),
  };
  const files = new WholeFiles(counted, cache, HUNG);
  const openings = Array.from({ length: 20 }, () => files.opening(file, tree));
  await Promise.all(openings);
  t.equal(asked, times * PIECES.length, "many readers ask for chunks only as often as one does");
  t.strictSame([...cache.pinned.values()], [tree.chunks.map(keyOf)]);
  for (const _ of openings) files.closed(file);
  t.strictSame([...cache.held], []);
  t.equal(cache.pinned.size, 0);
});

t.test("closing a file does not take it from another reader that has opened it", async (t) => {
  const come = Promise.withResolvers<void>();
  const { tree, file } = treeWith();
  const cache = new Cache(PIECES.length, come.promise);
  const patient = new WholeFiles(cache, cache, HUNG);
  const waiting = patient.opening(file, tree);
  const other = patient.opening(file, tree);
  come.resolve();
  await Promise.all([waiting, other]);
  patient.closed(file);
  t.strictSame([...cache.held], tree.chunks.map(keyOf));
  patient.closed(file);
  t.strictSame([...cache.held], []);
});
