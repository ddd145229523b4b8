/** One fetch for all readers of a chunk, within a limit of memory, and how long each reader waits for it. */
import t from "tap";
import type { ChunkCache, Disk } from "../../lib/cache/chunk-cache.ts";
import { type Chunk, keyOf } from "../../lib/tree/tree.ts";
import { stopClock } from "../support/clock.ts";
import { A, answering, B, cacheOf, chunk, settled, slowDisk, slowNetwork } from "./caches.ts";

t.test("one fetch serves all concurrent readers of a chunk, and later reads come from memory", async (t) => {
  let answer = (_: Buffer) => {};
  const { cache, fetched } = cacheOf(
    () =>
      new Promise<Buffer>((resolve) => {
        answer = resolve;
      }),
  );
  const readers = Array.from({ length: 50 }, () => cache.get(A.reference));
  // Another object for the same chunk: chunks are compared by hash.
  readers.push(cache.get({ ...A.reference, sha256: Uint8Array.from(A.reference.sha256!) }));
  cache.prefetch(A.reference);
  answer(A.bytes);
  for (const bytes of await Promise.all(readers)) t.equal(bytes, A.bytes);
  t.equal(await cache.get(A.reference), A.bytes);
  cache.prefetch(A.reference);
  t.equal(fetched.length, 1);
  t.match(cache.statistics, { hits: 1, misses: 51, chunksVerified: 1, bytesVerified: 4, failures: 0 });
});

t.test("memory is bounded in bytes, and the least recently used chunk is evicted first", async (t) => {
  const chunks = ["a", "b", "c", "d"].map((letter) => chunk(letter.repeat(300)));
  const [a, b, c, d] = chunks as [typeof A, typeof A, typeof A, typeof A];
  const { cache, fetched } = cacheOf(answering(...chunks), { memory: 1000 });
  for (const { reference } of [a, b, c, a, d]) await cache.get(reference);
  t.equal(fetched.length, 4, "three fit");
  for (const { reference } of [a, c, d]) await cache.get(reference);
  t.equal(fetched.length, 4, "a, c and d stay in memory");
  await cache.get(b.reference);
  t.equal(fetched.length, 5);
  t.equal(cache.statistics.hits, 4);
});

t.test("a chunk larger than the memory is served anyway", async (t) => {
  const large = chunk("x".repeat(2000));
  const { cache, fetched } = cacheOf(answering(large, A), { memory: 1000 });
  await cache.get(A.reference);
  t.equal(await cache.get(large.reference), large.bytes);
  t.equal(await cache.get(large.reference), large.bytes);
  await cache.get(A.reference);
  t.equal(fetched.length, 3, "a chunk larger than the memory evicts no other chunk");
});

t.test("failed fetches are retried and logged once, and no wrong bytes are kept", async (t) => {
  let attempts = 0;
  const { cache, logged } = cacheOf(async () => {
    attempts += 1;
    if (attempts < 4) throw new Error(`chunk arrived with other bytes\x1b[2J ${attempts}`);
    return A.bytes;
  });
  t.equal(await cache.get(A.reference), A.bytes);
  t.equal(attempts, 4);
  t.equal(logged.length, 1);
  t.match(logged[0], /warn chunk [0-9a-f]{16}: chunk arrived with other bytes\\x1b\[2J 1/);
  t.match(cache.statistics, { hits: 0, misses: 1, chunksVerified: 1, bytesVerified: 4, failures: 3 });
});

t.test("a fetch that throws instead of rejecting is a failure like any other", async (t) => {
  let attempts = 0;
  const { cache } = cacheOf(() => {
    attempts += 1;
    if (attempts === 1) throw new TypeError("not even a promise");
    return Promise.resolve(A.bytes);
  });
  t.equal(await cache.get(A.reference), A.bytes);
});

t.test(
  "after several failed attempts a read fails with the reason, and a later read tries again",
  async (t) => {
    const clock = stopClock(t);
    let broken = true;
    const { cache, fetched } = cacheOf(
      async () => {
        if (broken) throw new Error("no route to host");
        return A.bytes;
      },
      { readTimeout: 600 },
    );
    const both = t.rejects(Promise.all([cache.get(A.reference), cache.get(A.reference)]), {
      message: "no route to host",
    });
    await clock.pass(600);
    await both;
    t.ok(fetched.length >= 3, `${fetched.length} attempts`);
    const attempts = fetched.length;
    await clock.pass(100);
    t.equal(fetched.length, attempts, "nothing is fetched in the background after the read has failed");
    broken = false;
    await t.rejects(
      cache.get(A.reference),
      { message: /^the network has not answered since / },
      "the breaker",
    );
    // The breaker's first pause lasts at most this long.
    await clock.pass(1250);
    t.equal(cache.breaker.openSince, undefined);
    t.equal(
      await cache.get(A.reference),
      A.bytes,
      "the next read after the breaker's pause fetches the chunk",
    );
  },
);

t.test("a read without an answer fails at the read timeout", async (t) => {
  const clock = stopClock(t);
  const { cache } = cacheOf(() => new Promise(() => {}), { readTimeout: 100 });
  let said: string | undefined;
  cache.get(A.reference).catch((error: Error) => {
    said = error.message;
  });
  await clock.pass(99);
  t.equal(said, undefined);
  await clock.pass(1);
  t.equal(said, "no answer within the read timeout");
});

t.test("a reader that joins an older fetch has its own deadline, not the first reader's", async (t) => {
  const clock = stopClock(t);
  // The first attempt fails when the first reader's time is up. The joiner's time has hardly begun then.
  let fail = (_: Error) => {};
  let attempts = 0;
  const { cache } = cacheOf(
    () => {
      attempts += 1;
      if (attempts > 1) return Promise.resolve(A.bytes);
      return new Promise<Buffer>((_, reject) => {
        fail = reject;
      });
    },
    { readTimeout: 1000 },
  );
  const first = cache.get(A.reference);
  first.catch(() => {});
  await clock.pass(990);
  const joiner = cache.get(A.reference);
  fail(new Error("too late for the first one"));
  // The pause before the second attempt lasts at most 75 ms, and begins a moment later.
  await clock.pass(100);
  t.equal(await joiner, A.bytes);
  await first.catch(() => {});
});

t.test("a read of a chunk that has just timed out fails at once, but not for long", async (t) => {
  const clock = stopClock(t);
  let answer = (_: Buffer) => {};
  const { cache, fetched } = cacheOf(
    (reference) => {
      if (reference === B.reference) return Promise.resolve(B.bytes);
      return new Promise<Buffer>((resolve) => {
        answer = resolve;
      });
    },
    { readTimeout: 50 },
  );
  const late = cache.get(A.reference);
  // Another chunk arrives, so the network is up.
  await cache.get(B.reference);
  const tooLate = t.rejects(late, { message: /read timeout/ });
  await clock.pass(50);
  await tooLate;
  const started = fetched.length;
  for (const moment of [0, 98]) {
    await clock.pass(moment);
    let again: unknown = "waiting";
    cache.get(A.reference).catch((error: Error) => {
      again = error.message;
    });
    await settled();
    t.match(again, /read timeout/, "at once");
    t.equal(fetched.length, started);
  }
  await clock.pass(4);
  const later = cache.get(A.reference);
  answer(A.bytes);
  t.equal(await later, A.bytes);
});

t.test("a chunk that arrives while a second request reads the disk is not fetched again", async (t) => {
  const asks: [how: string, ask: (cache: ChunkCache) => Promise<unknown>][] = [
    ["get", (cache) => cache.get(A.reference)],
    ["load", (cache) => cache.load(A.reference, { keep: true })],
    ["load, not kept in memory", (cache) => cache.load(A.reference, { keep: false })],
  ];
  for (const [how, ask] of asks) {
    const { disk, answer, waits } = slowDisk();
    const network = slowNetwork();
    const { cache, fetched } = cacheOf(network.fetch, { disk });
    // load() reads the disk for itself, and the others share one read. The second asks only once the first has asked the network, so that
    // it reads the disk, too.
    const first = cache.load(A.reference, { keep: true });
    await answer("read");
    const second = ask(cache);
    await settled();
    t.equal(waits("read"), 1, `${how} reads the disk`);
    await network.answer();
    await answer("read");
    await answer("write");
    if (waits("write") > 0) await answer("write");
    await Promise.all([first, second]);
    t.equal(fetched.length, 1, how);
  }
});

t.test("a prefetch that began to read the disk before a fetch does not fetch the chunk again", async (t) => {
  const { disk, answer } = slowDisk();
  const network = slowNetwork();
  const { cache, fetched } = cacheOf(network.fetch, { disk });
  cache.prefetch(A.reference);
  const load = cache.load(A.reference, { keep: true });
  await answer("read", 1);
  await network.answer();
  await answer("read");
  await answer("write");
  await load;
  t.equal(fetched.length, 1);
});

t.test(
  "a chunk being written to disk, and not kept in memory, is served and written only once",
  async (t) => {
    const { disk, files, answer, waits } = slowDisk();
    const { cache, fetched } = cacheOf(answering(A), { disk });
    const load = cache.load(A.reference, { keep: false });
    await settled();
    await answer("read");
    t.equal(waits("write"), 1);
    t.equal(await cache.get(A.reference), A.bytes, "to readers");
    const another = cache.load(A.reference, { keep: false });
    cache.prefetch(A.reference);
    await settled();
    t.equal(waits("read"), 0, "a chunk being written is not looked up on disk");
    t.equal(waits("write"), 1);
    await answer("write");
    await Promise.all([load, another]);
    t.equal(fetched.length, 1);
    t.equal(files.size, 1);
  },
);

t.test("a chunk listed without a hash is kept under the hash that it turns out to have", async (t) => {
  const listed = { sha256: undefined, name: "listed", size: 4 };
  const files = new Map<string, Buffer>();
  const disk: Disk = {
    read: async (key) => files.get(key),
    has: async (key) => files.has(key),
    async write(key, bytes) {
      files.set(key, bytes);
    },
    claim: async () => undefined,
  };
  const { cache, fetched } = cacheOf(async (chunk) => (chunk === B.reference ? B.bytes : A.bytes), {
    disk,
    memory: 4,
  });
  t.equal(await cache.holds(listed), false);
  t.ok((await cache.get(listed)).equals(A.bytes));
  t.ok((await cache.get(listed)).equals(A.bytes), "a second read by the listed name gives the same bytes");
  t.ok((await cache.get(A.reference)).equals(A.bytes), "a read by the hash gives the same bytes");
  t.equal(await cache.holds(listed), true);
  t.strictSame([...files.keys()], [keyOf(A.reference)], "the chunk is on disk under its hash alone");
  // B takes A's place in memory.
  await cache.load(B.reference, { keep: true });
  cache.prefetch(listed);
  t.ok((await cache.get(listed)).equals(A.bytes), "from disk");
  t.ok((await cache.load(listed, { keep: true })).equals(A.bytes));
  t.equal(fetched.filter((chunk) => chunk !== B.reference).length, 1, "the chunk is fetched once");
  const hold = cache.hold();
  t.equal(await hold.keep(listed), true);
  hold.letGo();
});

t.test("a chunk listed without a hash is loaded and held under the hash of its content", async (t) => {
  const listed = { sha256: undefined, name: "listed", size: 4 };
  const other = { sha256: undefined, name: "other", size: 4 };
  const { cache, fetched } = cacheOf(async () => A.bytes, { memory: 4 });
  t.ok((await cache.load(listed, { keep: true })).equals(A.bytes));
  t.ok((await cache.get(listed)).equals(A.bytes));
  t.equal(fetched.length, 1, "the loaded chunk is not fetched again");
  const hold = cache.hold();
  t.equal(await hold.keep(other), true, "a second name of the same chunk needs no more room");
  t.ok((await cache.get(A.reference)).equals(A.bytes));
  t.equal(cache.memoryUsed, 4);
  t.equal(fetched.length, 2);
  hold.letGo();
});

t.test("chunks of a few bytes count with their overhead against the memory limit", async (t) => {
  const memory = 8 * 1024 * 1024;
  const { cache } = cacheOf(async () => Buffer.from("x"), { memory });
  const numbered = (i: number): Chunk => {
    const sha256 = Buffer.alloc(32);
    sha256.writeUInt32BE(i);
    return { sha256, size: 1 };
  };
  const count = 2100;
  for (let i = 0; i < count; i++) await cache.get(numbered(i));
  t.equal(cache.memoryUsed, 2048, "chunks of one byte count as if each had 4 KiB");
  t.ok(await cache.holds(numbered(count - 1)), "the newest chunk is in memory");
  t.notOk(await cache.holds(numbered(0)));
  const hold = cache.hold();
  let kept = 0;
  for (let i = 0; i < count; i++) kept += Number(await hold.keep(numbered(i)));
  t.equal(kept, 2048, "as many chunks can be held as fit in memory");
  hold.letGo();
});
