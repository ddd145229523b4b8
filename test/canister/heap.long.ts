/** A canister's heap while it takes chunks in: what is claimed once is paid for ever, so garbage has to go in time. */
import { randomBytes } from "node:crypto";
import t from "tap";
import { memoryOf } from "../support/canister-memory.ts";
import { startIcfsCanister } from "../support/icfs-canister.ts";

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
