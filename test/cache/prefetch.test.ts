/** Fetching ahead of readers: how much at a time, in which order, and when there is room for more. */
import t from "tap";
import { stopClock } from "../support/clock.ts";
import { A, cacheOf, chunk, settled } from "./caches.ts";

t.test("prefetching is bounded, does not delay reads, and makes room again after failures", async (t) => {
  const clock = stopClock(t);
  const chunks = Array.from({ length: 40 }, (_, i) => chunk(`chunk ${i}`));
  const answers: ((error: Error) => void)[] = [];
  const { cache, fetched } = cacheOf(() => new Promise((_, reject) => answers.push(reject)), {
    readTimeout: 1,
  });
  for (const { reference } of chunks) cache.prefetch(reference);
  t.equal(fetched.length, 4);
  cache.get(chunks[39]!.reference).catch(() => {});
  t.equal(fetched.length, 5, "a read does not wait for prefetches");
  await clock.pass(10);
  for (const reject of answers) reject(new Error("gone"));
  await settled();
  t.equal(cache.statistics.failures, 5);
  t.equal(cache.statistics.misses, 1, "prefetches do not count as reads");
  cache.prefetch(chunks[30]!.reference);
  t.equal(fetched.length, 6, "failed fetches make room for another prefetch");
});

/** Prefetches ten chunks of 100 bytes, with plenty of memory. The test reports the bytes that arrive to `receivers`. No fetch ends. */
function arriving(readTimeout: number) {
  const chunks = Array.from({ length: 10 }, (_, i) => chunk(`100 bytes, ${i} `.padEnd(100, "x")));
  const receivers: ((bytes: number) => void)[] = [];
  const { cache, fetched } = cacheOf(
    (_reference, _arrived, received) => {
      receivers.push(received);
      return new Promise(() => {});
    },
    { memory: 256 * 1024 * 1024, readTimeout },
  );
  for (const { reference } of chunks) cache.prefetch(reference);
  return { chunks, receivers, fetched };
}

t.test("chunks without room are fetched early when those under way arrive quickly", async (t) => {
  const clock = stopClock(t);
  const { chunks, receivers, fetched } = arriving(60_000);
  t.equal(fetched.length, 4);
  await clock.pass(100);
  for (const received of receivers.slice()) received(24);
  t.equal(fetched.length, 4, "no fetch starts early before a quarter of each chunk has arrived");
  for (const received of receivers.slice()) received(1);
  // There is room for eight chunks by now, and the four under way still need the bytes of three. So five more start.
  t.same(
    fetched,
    chunks.slice(0, 9).map(({ reference }) => reference),
    "chunks are fetched in the order in which they were requested",
  );
});

t.test("a fetch makes no room while its rest takes longer than its first byte did", async (t) => {
  const clock = stopClock(t);
  const { receivers, fetched } = arriving(60_000);
  const four = receivers.slice();
  for (const received of four) received(1);
  await clock.pass(50);
  for (const received of four) received(49);
  t.equal(fetched.length, 4, "no more fetches start, as half of each chunk took longer than its first byte");
  for (const received of four) received(50);
  t.ok(fetched.length > 4, "more fetches start once the chunks have arrived");
});

t.test("only the nearest of the chunks without room are remembered, as many as fit in memory", async (t) => {
  const chunks = Array.from({ length: 12 }, (_, i) => chunk(`chunk ${i}`));
  const answers: ((bytes: Buffer) => void)[] = [];
  const { cache, fetched } = cacheOf(() => new Promise((resolve) => answers.push(resolve)), {
    memory: 16 * 1024 * 1024,
  });
  for (const { reference } of chunks) cache.prefetch(reference);
  for (let i = 0; i < answers.length; i++) {
    answers[i]!(chunks[i]!.bytes);
    await settled();
  }
  t.same(
    fetched,
    chunks.slice(0, 8).map(({ reference }) => reference),
  );
});

t.test("a chunk without room that a reader has fetched meanwhile is not fetched again", async (t) => {
  const chunks = Array.from({ length: 5 }, (_, i) => chunk(`chunk ${i}`));
  const answers: ((bytes: Buffer) => void)[] = [];
  const { cache, fetched } = cacheOf(() => new Promise((resolve) => answers.push(resolve)), {
    memory: 256 * 1024 * 1024,
  });
  for (const { reference } of chunks) cache.prefetch(reference);
  const last = chunks[4]!;
  const read = cache.get(last.reference);
  answers[4]!(last.bytes);
  t.equal(await read, last.bytes);
  for (const [i, { bytes }] of chunks.slice(0, 4).entries()) answers[i]!(bytes);
  await settled();
  t.equal(fetched.length, 5);
});

t.test("slow transfers make no room for more", async (t) => {
  const clock = stopClock(t);
  const { receivers, fetched } = arriving(400);
  await clock.pass(50);
  // At this speed a whole chunk takes 200 ms, which is half of the deadline.
  for (const received of receivers.slice()) received(25);
  t.equal(fetched.length, 4);
});

t.test("a prefetched chunk is a hit, and one under way is joined", async (t) => {
  let answer = (_: Buffer) => {};
  const { cache, fetched } = cacheOf(
    () =>
      new Promise<Buffer>((resolve) => {
        answer = resolve;
      }),
  );
  cache.prefetch(A.reference);
  const read = cache.get(A.reference);
  answer(A.bytes);
  await read;
  await cache.get(A.reference);
  t.equal(fetched.length, 1);
  t.match(cache.statistics, { hits: 1, misses: 1 });
});
