/** HTTP where the canister has to work long for it: pieces that it must hash, and an upgrade from a version that had no HTTP. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { Entry } from "../../lib/tree/manifest.ts";
import { ICFS_WASM, sha256, startIcfsCanister } from "../support/icfs-canister.ts";
import { publishTree, readPieces, ready, siteOf, startSite } from "../support/site.ts";

const MIB = 1024 * 1024;

t.test("files of 1 to 16 MiB are served in pieces, whatever their chunks are", async (t) => {
  const site = await startSite(t);
  const odd = randomBytes(2 * MIB + 7);
  // These chunks are not pieces, so the canister must hash the pieces.
  t.equal(await publishTree(site, { odd }, 700_001), 1n);
  await readPieces(t, site, "/.icfs/at/1/odd", odd);
  const chunk = randomBytes(1000);
  await site.owner.put([chunk]);
  const many = 17_000;
  const extents = Array.from({ length: many }, () => ({ chunk: 0, offset: 0, length: 1000 }));
  const file: Entry = {
    kind: "file",
    path: "f",
    modified: 0n,
    size: many * 1000,
    sha256: sha256(chunk),
    executable: false,
    extents,
  };
  t.match(await site.publish({ chunks: [{ sha256: sha256(chunk), size: 1000 }], entries: [file] }), {
    ok: 2n,
  });
  await ready(site);
  t.equal((await site.get("/.icfs/at/2/f")).status, 501, "a file larger than 16 MiB gets status 501");
});

t.test(
  "a canister from before HTTP serves pages after an upgrade, and keeps them at the next one",
  async (t) => {
    const before = Uint8Array.from(readFileSync(new URL("before/third.wasm", import.meta.url)));
    const canister = await startIcfsCanister(t, { api: "both" }, before);
    const site = { ...canister, ...siteOf(canister) };
    const long = randomBytes(MIB + 1);
    await publishTree(site, { a: Buffer.from("1"), long });
    await publishTree(site, { a: Buffer.from("2"), long });
    await site.owner.keep(1n, true);
    const head = (await site.source.head())!;
    await site.network.replace(site.id, "upgrade", ICFS_WASM);
    t.strictSame((await site.source.head())!.hash, head.hash);
    const first = await site.get("/a");
    t.ok(
      [200, 503].includes(first.status),
      `right after the upgrade the status is 200 or 503: ${first.status}`,
    );
    await ready(site);
    t.equal(await site.text("/a"), "2");
    while ((await site.get("/.icfs/at/1/a")).status !== 200) await sleep(50);
    t.equal(await site.text("/.icfs/at/1/a"), "1", "the kept release before the newest is served");
    t.equal((await site.get("/.icfs/at/1/long")).status, 206);
    await site.network.replace(site.id, "upgrade", ICFS_WASM);
    t.equal(await site.text("/a"), "2", "an upgrade to the same version keeps the pages");
    await publishTree(site, { a: Buffer.from("3"), long });
    t.equal(await site.text("/a"), "3");
  },
);
