/** Loads that no reader waits for leave the network to readers. */
import t from "tap";
import type { Disk } from "../../lib/cache/chunk-cache.ts";
import type { Patience } from "../../lib/cache/fetch-claims.ts";
import { LONGEST_REST_MS, TURN_MS } from "../../lib/readahead.ts";
import type { Urgency } from "../../lib/urgency.ts";
import { stopClock } from "../support/clock.ts";
import { A, B, cacheOf, chunk, settled, slowNetwork } from "./caches.ts";

t.test("a background fetch may take its time until a reader waits for the same chunk", async (t) => {
  const { fetch, answer } = slowNetwork();
  const urgent: (() => boolean | undefined)[] = [];
  let patience: Patience | undefined;
  const disk: Disk = {
    read: async () => undefined,
    has: async () => false,
    write: async () => {},
    async claim(_, given) {
      patience ??= given;
      return undefined;
    },
  };
  const { cache } = cacheOf(
    (...asked) => {
      urgent.push(() => asked[3]?.isUrgent);
      return fetch(...asked);
    },
    { disk, readTimeout: 80_000 },
  );
  const load = cache.load(A.reference, { keep: true });
  await settled();
  t.equal(urgent[0]!(), false);
  t.ok(
    patience!.silence > 80_000 && patience!.whole > 80_000,
    "the fetch waits longer than the read timeout for other processes",
  );
  const read = cache.get(A.reference);
  await settled();
  t.equal(urgent[0]!(), true);
  t.match(patience, { silence: 10_000, whole: 40_000 });
  await answer();
  t.equal(await read, await load);
  cache.prefetch(B.reference);
  await settled();
  t.equal(urgent[1]!(), true, "a prefetched chunk is urgent from the start");
  await answer();
  t.equal(urgent.length, 2);
});

t.test("a background load does not fetch a chunk that a reader got before its turn", async (t) => {
  const network = slowNetwork();
  const { cache, fetched } = cacheOf(network.fetch);
  const other = cache.get(B.reference);
  const load = cache.load(A.reference, { keep: true });
  await settled();
  t.same(fetched, [B.reference], "a background load waits while a reader waits");
  const reader = cache.get(A.reference);
  await settled();
  t.same(fetched, [B.reference, A.reference]);
  // Both answers come at once, so that the load cannot join the reader's fetch.
  await Promise.all([network.answer(), network.answer()]);
  await Promise.all([other, reader]);
  t.equal(await load, A.bytes);
  t.equal(fetched.length, 2);
});

t.test("a background load starts once no reader has waited for a while", async (t) => {
  const clock = stopClock(t);
  const network = slowNetwork();
  const { cache, fetched } = cacheOf(network.fetch);
  const read = cache.get(A.reference);
  const load = cache.load(B.reference, { keep: true });
  await network.answer();
  await read;
  await clock.pass(TURN_MS - 1);
  t.same(fetched, [A.reference], "a background load does not start right after a read");
  await clock.pass(1);
  t.same(fetched, [A.reference, B.reference]);
  await network.answer();
  t.equal(await load, B.bytes);
});

t.test("a background fetch pauses while a reader waits, but not for long", async (t) => {
  const clock = stopClock(t);
  const network = slowNetwork();
  const urgencies: Urgency[] = [];
  const { cache } = cacheOf((...asked) => {
    urgencies.push(asked[3]!);
    return network.fetch(...asked);
  });
  let over = 0;
  /** Asks as the transport does that brings the chunk. @returns whether it is to pause */
  const rest = (urgency: Urgency | undefined) => {
    const others = urgency!.others();
    void others?.then(() => {
      over += 1;
    });
    return others !== undefined;
  };
  const load = cache.load(B.reference, { keep: true });
  await settled();
  t.ok(rest(urgencies[0]));
  await settled();
  t.equal(over, 1, "the pause ends at once while no reader waits");
  const read = cache.get(A.reference);
  await settled();
  t.notOk(rest(urgencies[1]), "a reader's own fetch does not pause");
  t.ok(rest(urgencies[0]));
  await clock.pass(LONGEST_REST_MS - 1);
  t.equal(over, 1);
  await clock.pass(1);
  t.equal(over, 2, "the pause ends after its longest time");
  t.ok(rest(urgencies[0]));
  cache.prefetch(chunk("cccc").reference);
  await settled();
  t.equal(over, 2);
  t.ok(rest(urgencies[2]));
  await settled();
  t.equal(over, 3, "a prefetch does not wait for the reader");
  await network.answer();
  await load;
  await network.answer();
  t.equal(await read, A.bytes);
  await settled();
  t.equal(over, 4, "the pause ends once no reader waits any more");
});

t.test("a background fetch no longer pauses once a reader joins it", async (t) => {
  const network = slowNetwork();
  let urgency: Urgency | undefined;
  const { cache } = cacheOf((...asked) => {
    urgency = asked[3];
    return network.fetch(...asked);
  });
  cache.prefetch(A.reference);
  await settled();
  t.ok(urgency!.others());
  const read = cache.get(A.reference);
  await settled();
  t.equal(urgency!.others(), undefined);
  await network.answer();
  t.equal(await read, A.bytes);
});
