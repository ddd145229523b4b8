/** The owner of the live release: what it guarantees to readers, and to a later mount without a network. */
import t from "tap";
import { type FileSystem, ROOT_INODE } from "../../lib/fs/view/filesystem.ts";
import { type Chunk, keyOf } from "../../lib/tree/tree.ts";
import { chunkOf, knowingTree, liveOf, mountedOf, releaseOf, treeOf } from "./live.ts";

const A = releaseOf("A", { number: 1 });
const B = releaseOf("B", { number: 2 });
const C = releaseOf("C", { number: 3 });
const first = () => mountedOf(A, treeOf(chunkOf("shared"), chunkOf("a")));
const next = () => mountedOf(B, treeOf(chunkOf("shared"), chunkOf("b")));
const always = () => true;
const attribute = (fileSystem: FileSystem, inode: number, name: string) =>
  Buffer.from(fileSystem.getxattr(inode, `user.icfs.${name}`)).toString();

t.test(
  "a switch: readers get the next release, and it is kept, from the moment at which the transport swaps",
  async (t) => {
    const swaps: (() => void)[] = [];
    const swapped = Promise.withResolvers<void>();
    const { live, fileSystem, kept, pinned, pieces } = liveOf(first(), {
      transport: (swap) => {
        swaps.push(swap);
        return swapped.promise;
      },
    });
    const of = (name: string) => attribute(fileSystem, fileSystem.lookup(ROOT_INODE, name), "release");
    const held = fileSystem.lookup(ROOT_INODE, "1");
    fileSystem.retain(held);
    await live.reserve();
    const target = next();
    let switched = 0;
    const done = live.switchTo(
      target,
      () => {
        switched += 1;
        t.equal(live.now, target, "it is live when that is said");
      },
      always,
    );
    while (swaps.length === 0) await new Promise(setImmediate);
    t.same([live.now.release, of("0"), switched], [A, "1", 0], "not before");
    swaps[0]!();
    t.same([live.now.release, of("0"), of("1"), switched], [B, "2", "2", 1]);
    t.equal(attribute(fileSystem, held, "release"), "1", "who has a file open goes on with what it was");
    t.strictSame(kept, [], "it is kept once it is live");
    swapped.resolve();
    await done;
    t.strictSame(kept, [B]);
    t.strictSame(
      pinned.keys,
      new Set([...pieces(B), ...target.tree.chunks.map(keyOf)]),
      "and the one before is let go",
    );
  },
);

t.test("there is one switch at a time, each from what is live by then", async (t) => {
  const swaps: (() => void)[] = [];
  const { live, fileSystem } = liveOf(first(), {
    transport: (swap) =>
      new Promise((resolve) => {
        swaps.push(() => {
          swap();
          resolve();
        });
      }),
  });
  const order: string[] = [];
  const one = live.switchTo(next(), () => order.push("B"), always);
  const other = live.switchTo(mountedOf(C, treeOf(chunkOf("shared"))), () => order.push("C"), always);
  while (swaps.length === 0) await new Promise(setImmediate);
  for (let i = 0; i < 10; i++) await new Promise(setImmediate);
  t.equal(swaps.length, 1, "the second waits");
  const inode = fileSystem.lookup(ROOT_INODE, "0");
  swaps[0]!();
  while (swaps.length === 1) await new Promise(setImmediate);
  swaps[1]!();
  await Promise.all([one, other]);
  t.strictSame(order, ["B", "C"]);
  t.equal(live.now.release, C);
  t.equal(fileSystem.lookup(ROOT_INODE, "0"), inode, "what never changed has kept its inode");
  t.throws(() => fileSystem.lookup(ROOT_INODE, "1"), /ENOENT/);
});

t.test(
  "a switch that may not be done any more, by the time at which it could be, changes nothing",
  async (t) => {
    let isMounted = false;
    const order: string[] = [];
    const { live, fileSystem, kept } = liveOf(first(), {
      paths: async () => {
        order.push("prepared");
        return isMounted ? ["0"] : [];
      },
    });
    const done = () => order.push("done");
    const may = () => {
      order.push("asked");
      return false;
    };
    t.equal(await live.switchTo(next(), done, may), false);
    t.equal(await live.takeAway(done, may), "not now");
    isMounted = true;
    t.equal(await live.takeAway(done, always), "held");
    t.strictSame(order, ["prepared", "asked", "prepared", "asked", "prepared"]);
    t.equal(live.now.release, A);
    t.strictSame(kept, []);
    t.equal(attribute(fileSystem, fileSystem.lookup(ROOT_INODE, "1"), "release"), "1");
    isMounted = false;
    t.equal(await live.takeAway(done, always), "taken");
    t.throws(() => fileSystem.lookup(ROOT_INODE, "1"), /ENOENT/);
    t.equal(await live.switchTo(next(), done, always), true, "nothing is left to do");
    t.equal(live.now.release, A);
  },
);

t.test("what is taken away while it is reserved is not reserved", async (t) => {
  const many = Array.from({ length: 5000 }, (_, i) => chunkOf(`${i}`));
  const { live, pinned } = liveOf(mountedOf(A, treeOf(...many)), { capacity: 1_000_000 });
  await live.reserve();
  t.equal(pinned.keys.size, 5001);
  const reserved = live.reserve();
  t.equal(await live.takeAway(() => {}, always), "taken");
  await reserved;
  t.equal(pinned.keys.size, 0);
});

t.test("a newer proof of the live release", async (t) => {
  const before = new Date(Date.now() - 60_000);
  const { live, fileSystem, kept } = liveOf(mountedOf({ ...A, certifiedAt: before }, treeOf(chunkOf("a"))));
  const inode = fileSystem.lookup(ROOT_INODE, "0");
  t.equal(attribute(fileSystem, inode, "certified_at"), before.toISOString());
  t.ok(live.age >= 60_000);
  await live.renew(A);
  t.equal(attribute(fileSystem, inode, "certified_at"), A.certifiedAt.toISOString(), "readers see it");
  t.ok(live.age < 60_000);
  t.strictSame(kept, [A], "and it is kept");
  await live.renew({ ...A, certifiedAt: before });
  t.equal(live.now.release, A, "an older proof, of another gateway, takes nothing back");
  t.strictSame(kept, [A]);
});

t.test("a snapshot, which is large, is kept again when more is known of it", async (t) => {
  const snapshot = releaseOf("snapshot", { verified: "node-signature" });
  const { live, kept, source } = liveOf(mountedOf(snapshot, treeOf(chunkOf("a"))));
  await live.renew({ ...snapshot });
  await live.keepLearned();
  t.equal(kept.length, 0);
  source.learned = 1;
  await live.renew({ ...snapshot });
  t.equal(kept.length, 1, "when it is proved again");
  source.learned = 2;
  await live.keepLearned();
  await live.keepLearned();
  t.equal(kept.length, 2, "or when that is asked for, once");
});

t.test("what is too old opens no file", async (t) => {
  const old = { ...A, certifiedAt: new Date(Date.now() - 60_000) };
  const { live, logged } = liveOf(mountedOf(old, treeOf(chunkOf("a"))), { maxStale: 30_000 });
  for (let i = 0; i < 3; i++) {
    t.throws(() => live.mustBeFresh(), /release 1 was certified 6\d s ago, more than --max-stale allows/);
  }
  t.match(logged, [/no file can be opened until the network says what is newest/], "said once");
  await live.renew(A);
  live.mustBeFresh();
  live.mustBeFresh();
  t.match(logged.slice(1), [/release 1 is proved again: files can be opened again/]);
  t.equal(logged.length, 2);

  await t.test("by a certificate's clock, when this host's is behind", async (t) => {
    const { live } = liveOf(mountedOf(A, treeOf(chunkOf("a"))), { maxStale: 3600_000 });
    const later = new Date(Date.now() + 7200_000);
    await live.renew({ ...A, certifiedAt: later, verified: "node-signature" });
    await live.renew(A);
    live.mustBeFresh();
    await live.renew({ ...A, certifiedAt: later });
    live.mustBeFresh();
    await live.switchTo(next(), () => {}, always);
    t.throws(() => live.mustBeFresh(), /certified 7[12]\d\d s ago/, "only what is certified counts");
  });
});

t.test("what is reserved", async (t) => {
  const { live, pinned, pieces } = liveOf(first(), { capacity: 300 });
  const { tree } = live.now;
  t.equal(await live.reserve(next()), true, "a chunk of both counts once");
  t.strictSame(
    pinned.keys,
    new Set([...pieces(A, B), ...[...tree.chunks, ...next().tree.chunks].map(keyOf)]),
  );
  t.equal(await live.reserve(mountedOf(B, treeOf(chunkOf("b"), chunkOf("c")))), false, "no room for both");
  t.strictSame(pinned.keys, new Set(pieces(A, B)), "only what they are made of");
  t.equal(await live.reserve(), true);
  t.strictSame(pinned.keys, new Set([...pieces(A), ...tree.chunks.map(keyOf)]));

  const unknown = { sha256: undefined, name: "unknown", size: 100 };
  let known: Chunk = unknown;
  const listed = knowingTree([chunkOf("a"), unknown], (chunk) => (chunk === unknown ? known : chunk));
  const other = liveOf(mountedOf(A, listed));
  t.equal(await other.live.reserve(), true);
  t.strictSame(other.pinned.keys, new Set([...other.pieces(A), keyOf(chunkOf("a"))]));
  known = chunkOf("b");
  t.equal(await other.live.reserve(), true);
  const keys = [...other.pieces(A), keyOf(chunkOf("a")), keyOf(chunkOf("b"))];
  t.strictSame(other.pinned.keys, new Set(keys), "and what has become known of it");

  t.equal(await liveOf(first(), { disk: false, memory: 200 }).live.reserve(), true, "without a disk: memory");
  t.equal(await liveOf(first(), { disk: false, memory: 199 }).live.reserve(), false);
});

t.test("what is here", async (t) => {
  const tree = treeOf(chunkOf("a"), chunkOf("b"));
  const { live, onDisk, inMemory } = liveOf(mountedOf(A, tree));
  for (const chunk of tree.chunks) inMemory.add(keyOf(chunk));
  t.equal(await live.isHere(tree), false, "memory alone is not enough where there is a disk");
  onDisk.add(keyOf(tree.chunks[0]!));
  t.equal(await live.isHere(tree), false);
  onDisk.add(keyOf(tree.chunks[1]!));
  t.equal(await live.isHere(tree), true);
  const unknown = { sha256: undefined, name: "unknown", size: 100 };
  t.equal(await live.isHere(treeOf(unknown)), false);
  t.equal(await live.isHere(knowingTree([unknown], () => chunkOf("a"))), true, "by what is known of it");

  const diskless = liveOf(mountedOf(A, tree), { disk: false });
  diskless.inMemory.add(keyOf(tree.chunks[0]!));
  t.equal(await diskless.live.isHere(tree), false);
  diskless.inMemory.add(keyOf(tree.chunks[1]!));
  t.equal(await diskless.live.isHere(tree), true);
});

t.test("what stays in memory", async (t) => {
  const tree = treeOf(chunkOf("a"), chunkOf("b"));
  t.equal(liveOf(first(), { memory: 400 }).live.staysInMemory(tree), true, "it leaves room for the next");
  t.equal(liveOf(first(), { memory: 399 }).live.staysInMemory(tree), false);
  t.equal(
    liveOf(first(), { memory: 10, disk: false }).live.staysInMemory(tree),
    true,
    "else it would be nowhere",
  );
});

t.test(
  "whether this host can mount it again: what proves it, what its tree is made of, and pins are on disk",
  async (t) => {
    for (const what of ["proof", "manifest", "pins"] as const) {
      const { live, broken } = liveOf(first());
      await live.reserve();
      await live.keep();
      t.equal(live.isKept, true);
      broken.add(what);
      await live.switchTo(next(), () => t.equal(live.isKept, false, "not yet"), always);
      t.equal(live.isKept, false, `without ${what}`);
      broken.clear();
      await live.renew(B);
      await live.reserve();
      t.equal(live.isKept, true, "as soon as there is room again");
    }
    const { live } = liveOf(first(), { disk: false });
    t.equal(live.isKept, true, "without a disk nobody has asked for that");
  },
);
t.test("a large release is reserved, and looked for, in steps: readers need not wait", async (t) => {
  const chunks = Array.from({ length: 20_000 }, (_, i) => chunkOf(`large ${i}`));
  const { live, onDisk } = liveOf(mountedOf(A, treeOf(...chunks)), { capacity: 1e9 });
  for (const chunk of chunks) onDisk.add(keyOf(chunk));
  const turnsOf = async (work: Promise<boolean>) => {
    let turns = 0;
    let isDone = false;
    void work.finally(() => {
      isDone = true;
    });
    for (; !isDone; turns++) await new Promise(setImmediate);
    t.equal(await work, true);
    return turns;
  };
  t.ok((await turnsOf(live.reserve())) >= 20);
  t.ok((await turnsOf(live.isHere(live.now.tree))) >= 19);
});
