/** Chunks that an open file holds stay until it is closed. */
import t from "tap";
import type { Disk } from "../../lib/cache/chunk-cache.ts";
import { A, answering, B, cacheOf, chunk } from "./caches.ts";

t.test("held chunks stay in memory until they are released, up to a limit", async (t) => {
  const chunks = ["a", "b", "c", "d"].map((letter) => chunk(letter.repeat(400)));
  const [a, b, c, d] = chunks as [typeof A, typeof A, typeof A, typeof A];
  const { cache, fetched } = cacheOf(answering(...chunks), { memory: 1000 });
  const [hold, another] = [cache.hold(), cache.hold()];
  t.ok(await hold.keep(a.reference));
  t.ok(await hold.keep(a.reference), "a held chunk can be kept again");
  t.ok(await another.keep(a.reference));
  t.ok(await another.keep(b.reference));
  t.notOk(await hold.keep(c.reference), "no room");
  await cache.get(d.reference);
  t.equal(cache.memoryUsed, 800, "held chunks take their part of the memory, each once");
  t.equal(fetched.length, 4);
  const read = async () => [await cache.get(a.reference), await cache.get(b.reference)];
  t.same(await read(), [a.bytes, b.bytes]);
  t.equal(fetched.length, 4, "held chunks stay in memory when others are read");
  another.letGo();
  t.ok(await hold.keep(c.reference), "there is room once another hold is released");
  await cache.get(d.reference);
  t.equal(await cache.get(a.reference), a.bytes);
  const before = fetched.length;
  hold.letGo();
  for (const { reference } of [c, d, a]) await cache.get(reference);
  t.ok(fetched.length > before, "a released chunk can be evicted and is fetched again");
  t.notOk(await hold.keep(a.reference), "a hold that was released keeps nothing");
});

t.test("a held chunk is written to disk; if that fails, it is held in memory", async (t) => {
  let works = true;
  const files = new Map<string, Buffer>();
  const disk: Disk = {
    read: async (key) => files.get(key),
    has: async (key) => files.has(key),
    async write(key, bytes) {
      if (works) files.set(key, bytes);
    },
    claim: async () => undefined,
  };
  const big = chunk("x".repeat(900));
  const { cache, fetched } = cacheOf(answering(A, B, big), { disk });
  const hold = cache.hold();
  t.ok(await hold.keep(A.reference));
  t.same([...files.values()], [A.bytes]);
  works = false;
  t.ok(await hold.keep(B.reference));
  for (let i = 0; i < 2; i++) {
    await cache.get(big.reference);
    await cache.get(A.reference);
    await cache.get(B.reference);
  }
  t.equal(fetched.filter((one) => one === A.reference || one === B.reference).length, 2);
});

t.test("a held chunk counts once, and stays in memory when it is released", async (t) => {
  const chunks = ["a", "b", "c"].map((letter) => chunk(letter.repeat(400)));
  const [a, b, c] = chunks as [typeof A, typeof A, typeof A];
  const { cache, fetched } = cacheOf(answering(...chunks), { memory: 1000 });
  const hold = cache.hold();
  t.ok(await hold.keep(a.reference));
  t.equal(cache.memoryUsed, 400);
  t.ok(await cache.holds(a.reference), "a held chunk can be read without the network");
  await cache.load(a.reference, { keep: true });
  t.equal(cache.memoryUsed, 400);
  for (const { reference } of [b, c]) await cache.get(reference);
  t.equal(cache.memoryUsed, 800, "there is room for one other chunk beside the held one");
  hold.letGo();
  t.equal(cache.memoryUsed, 800);
  for (const { reference } of [c, a]) await cache.get(reference);
  t.equal(fetched.length, 3, "a released chunk is still in memory for the next reader");
});
