/** Chunks by their hashes. */
import { createHash } from "node:crypto";
import t from "tap";
import { ChunkIndex } from "../../lib/serve/chunk-index.ts";
import { atOnce } from "../../lib/steps.ts";
import { type Chunk, keyOf } from "../../lib/tree/tree.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
const chunkOf = (bytes: Buffer): Chunk => ({ sha256: sha256(bytes), size: bytes.length });

t.test("chunks are found by their hashes", async (t) => {
  for (const count of [0, 1, 3, 5000]) {
    const chunks = Array.from({ length: count }, (_, i) => chunkOf(Buffer.from(String(i))));
    // Chunks for which a listing has no hash are not found, and do no harm.
    const index = atOnce(ChunkIndex.growing([...chunks, { sha256: undefined, name: "x", size: 1 }]));
    t.ok(chunks.every((chunk) => index.find(chunk.sha256!) === chunk));
    t.equal(index.find(sha256(Buffer.from("another"))), undefined);
  }
  const twice = chunkOf(Buffer.from("twice"));
  t.equal(keyOf(atOnce(ChunkIndex.growing([twice, { ...twice }])).find(twice.sha256!)!), keyOf(twice));
});
