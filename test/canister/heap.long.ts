/** A canister's heap while it takes chunks in: what is claimed once is paid for ever, so garbage has to go in time. */
import { randomBytes } from "node:crypto";
import t from "tap";
import { memoryOf } from "../support/canister-memory.ts";
import { startIcfsCanister, treeOf } from "../support/icfs-canister.ts";

const MIB = 1024 * 1024;
/** Motoko's partitions: one is filled, one has what was kept of the last, and one the collector's marks. */
const PARTITIONS = 3 * 64 * MIB;
const PUTS = 200;

t.test("a heap of three partitions does", { timeout: 300_000 }, async (t) => {
  const { network, id, owner } = await startIcfsCanister(t);
  const started = await memoryOf(network.agent, id);
  t.ok(started.heap < 16 * MIB, `${started.heap} bytes are claimed before anything is put`);
  await owner.put([randomBytes(MIB)]);
  const { heap } = await memoryOf(network.agent, id);
  t.ok(heap < 16 * MIB, "there is no collection, which claims a partition, before one is full");
  for (let i = 0; i < PUTS; i++) await owner.put([randomBytes(MIB)]);
  const full = await memoryOf(network.agent, id);
  t.ok(full.stable >= (PUTS + 1) * MIB, "the chunks are in stable memory");
  t.ok(full.heap <= PARTITIONS, `${PUTS} MiB have been put, and the heap has ${full.heap} bytes`);
});

t.test("a thousand rollbacks do not fill it", { timeout: 300_000 }, async (t) => {
  const canister = await startIcfsCanister(t);
  const { network, id, owner, source } = canister;
  const { manifest, chunks } = treeOf(
    Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`file${1000 + i}`, `contents ${i}`])),
  );
  await owner.put(chunks);
  t.match(await canister.publish(manifest), { ok: 1n });
  const heaps: Record<number, number> = {};
  for (let i = 1; i <= 1000; i++) {
    const parent: [Uint8Array] = [(await source.head())!.hash];
    const result = await owner.rollback({ to: 1n, parent, note: "" });
    if (!("ok" in result)) throw new Error(JSON.stringify(result));
    if ([10, 100, 1000].includes(i)) heaps[i] = (await memoryOf(network.agent, id)).heap;
  }
  t.comment(JSON.stringify(heaps));
  t.equal((await owner.status()).held.length, 1001, "all are held");
  // With its list of chunks each would take 16 KB.
  t.ok(
    heaps[1000]! - heaps[10]! < 8 * MIB,
    `the heap had ${heaps[10]} bytes after 10, and ${heaps[1000]} after 1,000`,
  );
});
