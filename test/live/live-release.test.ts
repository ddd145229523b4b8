/** The owner of the live release: what it guarantees to readers, and to a later mount without a network. */
import t from "tap";
import { type FileSystem, ROOT_INODE } from "../../lib/fs/view/filesystem.ts";
import { type Chunk, keyOf } from "../../lib/tree/tree.ts";
import { exactly } from "../support/exactly.ts";
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
  "at a switch, readers get the next release once the transport swaps, and it is then kept",
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
        t.equal(live.now, target, "the release is live when the switch is reported");
      },
      always,
    );
    while (swaps.length === 0) await new Promise(setImmediate);
    t.same([live.now.release, of("0"), switched], [A, "1", 0], "not before");
    swaps[0]!();
    t.same([live.now.release, of("0"), of("1"), switched], [B, "2", "2", 1]);
    t.equal(attribute(fileSystem, held, "release"), "1", "a held file stays at its release");
    t.strictSame(kept, [], "the release is not kept before the switch is complete");
    swapped.resolve();
    await done;
    t.strictSame(kept, [B]);
    t.strictSame(
      pinned.keys,
      new Set([...pieces(B), ...target.tree.chunks.map(keyOf)]),
      "the pins of the previous release are dropped",
    );
  },
);

t.test("switches happen one at a time, each from the release that is live by then", async (t) => {
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
  t.equal(swaps.length, 1, "the second switch waits for the first");
  const inode = fileSystem.lookup(ROOT_INODE, "0");
  swaps[0]!();
  while (swaps.length === 1) await new Promise(setImmediate);
  swaps[1]!();
  await Promise.all([one, other]);
  t.strictSame(order, ["B", "C"]);
  t.equal(live.now.release, C);
  t.equal(fileSystem.lookup(ROOT_INODE, "0"), inode, "a file that never changed keeps its inode");
  t.throws(() => fileSystem.lookup(ROOT_INODE, "1"), /ENOENT/);
});

t.test("a switch that is no longer allowed once it is prepared changes nothing", async (t) => {
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
});

t.test("a release taken away while it is being reserved is not left reserved", async (t) => {
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
  t.equal(
    attribute(fileSystem, inode, "certified_at"),
    A.certifiedAt.toISOString(),
    "readers see the newer proof",
  );
  t.ok(live.age < 60_000);
  t.strictSame(kept, [A], "the newer proof is kept");
  await live.renew({ ...A, certifiedAt: before });
  t.equal(live.now.release, A, "an older proof from another gateway is ignored");
  t.strictSame(kept, [A]);
});

t.test("a snapshot, which is large, is kept again only when more is known about it", async (t) => {
  const snapshot = releaseOf("snapshot", { verified: "node-signature" });
  const { live, kept, source } = liveOf(mountedOf(snapshot, treeOf(chunkOf("a"))));
  await live.renew({ ...snapshot });
  await live.keepLearned();
  t.equal(kept.length, 0);
  source.learned = 1;
  await live.renew({ ...snapshot });
  t.equal(kept.length, 1, "a new proof keeps the snapshot with what has been learned");
  source.learned = 2;
  await live.keepLearned();
  await live.keepLearned();
  t.equal(kept.length, 2, "keepLearned() keeps the snapshot once");
});

t.test("no file can be opened when the live release is too old", async (t) => {
  const old = { ...A, certifiedAt: new Date(Date.now() - 60_000) };
  const { live, logged } = liveOf(mountedOf(old, treeOf(chunkOf("a"))), { maxStale: 30_000 });
  for (let i = 0; i < 3; i++) {
    t.throws(() => live.mustBeFresh(), /release 1 was certified 6\d s ago, more than --max-stale allows/);
  }
  t.match(logged, exactly(/no file can be opened until the network says what is newest/), "said once");
  await live.renew(A);
  live.mustBeFresh();
  live.mustBeFresh();
  t.match(logged.slice(1), exactly(/release 1 is proved again: files can be opened again/));
  t.equal(logged.length, 2);

  await t.test("measured by a certificate's clock when this host's is behind", async (t) => {
    const { live } = liveOf(mountedOf(A, treeOf(chunkOf("a"))), { maxStale: 3600_000 });
    const later = new Date(Date.now() + 7200_000);
    await live.renew({ ...A, certifiedAt: later, verified: "node-signature" });
    await live.renew(A);
    live.mustBeFresh();
    await live.renew({ ...A, certifiedAt: later });
    live.mustBeFresh();
    await live.switchTo(next(), () => {}, always);
    t.throws(() => live.mustBeFresh(), /certified 7[12]\d\d s ago/, "only certified times count");
  });
});

t.test("the chunks of the live and next releases are reserved if there is room for both", async (t) => {
  const { live, pinned, pieces } = liveOf(first(), { capacity: 300 });
  const { tree } = live.now;
  t.equal(await live.reserve(next()), true, "a chunk of both releases counts once");
  t.strictSame(
    pinned.keys,
    new Set([...pieces(A, B), ...[...tree.chunks, ...next().tree.chunks].map(keyOf)]),
  );
  t.equal(
    await live.reserve(mountedOf(B, treeOf(chunkOf("b"), chunkOf("c")))),
    false,
    "there is no room for both",
  );
  t.strictSame(pinned.keys, new Set(pieces(A, B)), "only the pieces of the manifests are reserved");
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
  t.strictSame(other.pinned.keys, new Set(keys), "a chunk whose hash has become known is reserved as well");

  t.equal(
    await liveOf(first(), { disk: false, memory: 200 }).live.reserve(),
    true,
    "without a disk, room in memory is enough",
  );
  t.equal(await liveOf(first(), { disk: false, memory: 199 }).live.reserve(), false);
});

t.test("a tree is complete when its chunks are on disk, or in memory if there is no disk", async (t) => {
  const tree = treeOf(chunkOf("a"), chunkOf("b"));
  const { live, onDisk, inMemory } = liveOf(mountedOf(A, tree));
  for (const chunk of tree.chunks) inMemory.add(keyOf(chunk));
  t.equal(await live.isHere(tree), false, "chunks in memory do not count where there is a disk");
  onDisk.add(keyOf(tree.chunks[0]!));
  t.equal(await live.isHere(tree), false);
  onDisk.add(keyOf(tree.chunks[1]!));
  t.equal(await live.isHere(tree), true);
  const unknown = { sha256: undefined, name: "unknown", size: 100 };
  t.equal(await live.isHere(treeOf(unknown)), false);
  t.equal(
    await live.isHere(knowingTree([unknown], () => chunkOf("a"))),
    true,
    "a chunk listed without a hash counts by the hash known for it",
  );

  const diskless = liveOf(mountedOf(A, tree), { disk: false });
  diskless.inMemory.add(keyOf(tree.chunks[0]!));
  t.equal(await diskless.live.isHere(tree), false);
  diskless.inMemory.add(keyOf(tree.chunks[1]!));
  t.equal(await diskless.live.isHere(tree), true);
});

t.test("a tree stays in memory if it leaves room for the next one, or if there is no disk", async (t) => {
  const tree = treeOf(chunkOf("a"), chunkOf("b"));
  t.equal(
    liveOf(first(), { memory: 400 }).live.staysInMemory(tree),
    true,
    "the tree leaves room for the next one",
  );
  t.equal(liveOf(first(), { memory: 399 }).live.staysInMemory(tree), false);
  t.equal(
    liveOf(first(), { memory: 10, disk: false }).live.staysInMemory(tree),
    true,
    "without a disk, the tree stays in memory",
  );
});

t.test("a release can be mounted again once its proof, its manifest and its pins are on disk", async (t) => {
  for (const what of ["proof", "manifest", "pins"] as const) {
    const { live, broken } = liveOf(first());
    await live.reserve();
    await live.keep();
    t.equal(live.isKept, true);
    broken.add(what);
    await live.switchTo(next(), () => t.equal(live.isKept, false, "not yet"), always);
    t.equal(live.isKept, false, `the release is not kept without its ${what}`);
    broken.clear();
    await live.renew(B);
    await live.reserve();
    t.equal(live.isKept, true, "the release is kept as soon as there is room again");
  }
  const { live } = liveOf(first(), { disk: false });
  t.equal(live.isKept, true, "without a disk, the release counts as kept");
});
t.test("a large release is reserved and looked up in steps, and readers need not wait", async (t) => {
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
