/** A canister's heap while it receives chunks. Claimed memory costs cycles for ever, so garbage must be collected in time. */
import { randomBytes } from "node:crypto";
import t from "tap";
import type { Entry } from "../../lib/tree/manifest.ts";
import { memoryOf } from "../support/canister-memory.ts";
import { sha256, startIcfsCanister } from "../support/icfs-canister.ts";
import { ready } from "../support/site.ts";

const MIB = 1024 * 1024;
/** Three partitions of Motoko's heap: one is being filled, one has what was kept of the one before, and one has the collector's marks. */
const PARTITIONS = 3 * 64 * MIB;
const PUTS = 200;

t.test("the heap takes at most three partitions while chunks are put", { timeout: 1_800_000 }, async (t) => {
  const { network, id, owner } = await startIcfsCanister(t);
  const started = await memoryOf(network.agent, id);
  t.ok(started.heap < 16 * MIB, `${started.heap} bytes are claimed before anything is put`);
  await owner.put([randomBytes(MIB)]);
  const { heap } = await memoryOf(network.agent, id);
  t.ok(heap < 16 * MIB, "no collection claims another partition before one is full");
  for (let i = 0; i < PUTS; i++) await owner.put([randomBytes(MIB)]);
  const full = await memoryOf(network.agent, id);
  t.ok(full.stable >= (PUTS + 1) * MIB, "the chunks are in stable memory");
  t.ok(full.heap <= PARTITIONS, `after puts of ${PUTS} MiB, the heap has ${full.heap} bytes`);
});

const FILES = 1_000;
/** The limit for the bytes of stable memory that one file's pages take, at / and below /.icfs/at/. A measurement gave 386. */
const PER_FILE = 600;
/** The same limit for a release that stays below /.icfs/at/ and differs in one file, for the nodes on the way to it. A measurement gave 4,240. */
const PER_PINNED = 10_000;

t.test(
  "pages of a kept release take space only for files that changed",
  { timeout: 1_800_000 },
  async (t) => {
    const canister = await startIcfsCanister(t);
    const { owner } = canister;
    const contents = Array.from({ length: FILES }, (_, i) => `contents ${10_000 + i}`);
    /** Publishes the files in packs of 20. @returns the bytes that all pages take */
    const publish = async () => {
      const packs = Array.from({ length: FILES / 20 }, (_, i) =>
        Buffer.from(contents.slice(20 * i, 20 * (i + 1)).join("")),
      );
      await owner.put(packs);
      const entries = contents.map((text, i): Entry => {
        const { length } = text;
        const extents = [{ chunk: Math.floor(i / 20), offset: length * (i % 20), length }];
        const hash = sha256(Buffer.from(text));
        return {
          kind: "file",
          path: `f${10_000 + i}`,
          modified: 0n,
          size: length,
          sha256: hash,
          executable: false,
          extents,
        };
      });
      const chunks = packs.map((pack) => ({ sha256: sha256(pack), size: pack.length }));
      const result = await canister.publish({ chunks, entries });
      if (!("ok" in result)) throw new Error(JSON.stringify(result));
      await owner.keep(result.ok, true);
      await ready(canister);
      return Number((await owner.status()).http[0]!.bytes);
    };
    const first = await publish();
    t.ok(first / FILES < PER_FILE, `${first / FILES} bytes per file`);
    contents[0] = "contents 90000";
    await publish();
    contents[1] = "contents 90001";
    const more = ((await publish()) - first) / 2;
    t.ok(more < PER_PINNED, `${more} bytes for a release that is kept`);
  },
);
