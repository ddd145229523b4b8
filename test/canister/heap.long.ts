/** A canister's heap while it takes chunks in: what is claimed once is paid for ever, so garbage has to go in time. */
import { randomBytes } from "node:crypto";
import t from "tap";
import type { Manifest } from "../../lib/tree/manifest.ts";
import { memoryOf } from "../support/canister-memory.ts";
import { sha256, startIcfsCanister, treeOf } from "../support/icfs-canister.ts";
import { heapOf, publishTree, ready, withHeapMethod } from "../support/site.ts";

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

/** Bytes of garbage that a rollback leaves, whatever its tree: 22 KB. With a list of the tree's 2,000 chunks it would be 16 KB more, for ever. */
const PER_ROLLBACK = 30_000;

t.test("a thousand rollbacks hold one tree", { timeout: 300_000 }, async (t) => {
  const canister = await startIcfsCanister(t);
  const { network, id, owner, source } = canister;
  // One file of 2,000 chunks: a page that lists a hundred files would take most of the time.
  const { chunks, manifest: many } = treeOf(
    Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`${1000 + i}`, `contents ${i}`])),
  );
  const bytes = Buffer.concat(chunks);
  const extents = chunks.map(({ length }, chunk) => ({ chunk, offset: 0, length }));
  const entry = { ...many.entries[0]!, path: "file", size: bytes.length, sha256: sha256(bytes), extents };
  const manifest: Manifest = { chunks: many.chunks, entries: [entry] };
  await owner.put(chunks);
  t.match(await canister.publish(manifest), { ok: 1n });
  const rollBack = async (times: number) => {
    for (let i = 0; i < times; i++) {
      const parent: [Uint8Array] = [(await source.head())!.hash];
      const result = await owner.rollback({ to: 1n, parent, note: "" });
      if (!("ok" in result)) throw new Error(JSON.stringify(result));
    }
    return (await memoryOf(network.agent, id)).heap;
  };
  const before = await rollBack(100);
  const after = await rollBack(900);
  t.equal((await owner.status()).held.length, 1001, "all are held");
  const each = (after - before) / 900;
  t.ok(each < PER_ROLLBACK, `each took ${each.toFixed(0)} bytes`);
  t.ok(after <= PARTITIONS);
});

/** Bytes that may stay on the heap for each path that is served over HTTP. */
const PER_PATH = 300;

t.test("pages stay in stable memory", { timeout: 300_000 }, async (t) => {
  const canister = await startIcfsCanister(t, {}, withHeapMethod(t));
  const { owner } = canister;
  const files = 2000;
  const tree = Object.fromEntries(
    Array.from({ length: files }, (_, i) => [`file${1000 + i}`, Buffer.from(`contents ${i}`)]),
  );
  await owner.serve_http(false);
  await publishTree(canister, tree);
  const without = await heapOf(canister);
  await owner.serve_http(true);
  await ready(canister);
  const made = await heapOf(canister);
  t.ok(made - without < PER_PATH * files, `${without} bytes without pages, ${made} with them`);
  // What a release's list of chunks takes is not the pages'.
  const releases = 10;
  const growth = async (on: boolean) => {
    await owner.serve_http(on);
    if (on) await ready(canister);
    const before = await heapOf(canister);
    for (let i = 0; i < releases; i++) {
      await publishTree(canister, { ...tree, file1000: Buffer.from(`${on} ${i}`) });
      await owner.keep((await owner.status()).newest, true);
    }
    if (on) await ready(canister);
    return ((await heapOf(canister)) - before) / releases;
  };
  const [off, on] = [await growth(false), await growth(true)];
  t.ok(
    on - off < 20_000,
    `a kept release takes ${off.toFixed(0)} bytes without pages, ${on.toFixed(0)} with them`,
  );
  t.comment(`${((made - without) / files).toFixed(1)} bytes a path; ${(on - off).toFixed(0)} a kept release`);
});
