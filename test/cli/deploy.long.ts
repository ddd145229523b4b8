/** icfs deploy, while the canister is busy. */
import t from "tap";
import { icfsCanister } from "../../lib/icfs-canister.ts";
import type { Manifest } from "../../lib/tree/manifest.ts";
import { encodeManifest } from "../../lib/tree/manifest-encoder.ts";
import { startCanister } from "../support/canister-network.ts";

const PIECE_BYTES = 1024 * 1024;

t.test("an upgrade waits for the check of a large release, and does not harm it", async (t) => {
  const c = await startCanister(t);
  const owner = icfsCanister(c.publisherAgent, c.canister);
  const tree: Manifest = {
    chunks: [],
    entries: Array.from({ length: 60_000 }, (_, i) => {
      return { kind: "directory", path: String(i).padStart(250, "0"), modified: 0n };
    }),
  };
  const bytes = Buffer.concat(encodeManifest(tree));
  const manifest: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    manifest.push(...(await owner.put([bytes.subarray(at, at + PIECE_BYTES)])));
  }
  let isPublished = false;
  const published = owner.publish({ manifest, parent: [], note: "" }).finally(() => {
    isPublished = true;
  });
  // The release is being checked while these upgrades run.
  let upgraded = 0;
  while (!isPublished) {
    t.match(await c.icfs(["deploy", c.canister.toText()]), { code: 0 });
    upgraded += 1;
  }
  t.ok(upgraded > 0);
  t.strictSame(await published, { ok: 1n });
  const { header } = (await c.source().head())!;
  t.strictSame(await c.source().manifest(header), tree);
});
