/** Many releases, and many files, through bin/icfs and a mount. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { mountpointFor, sh } from "../mount/mounts.ts";
import { startCanister } from "../support/canister-network.ts";
import { exactly } from "../support/exactly.ts";
import { sha256, startIcfsCanister, treeOf } from "../support/icfs-canister.ts";

t.test("a hundred releases", async (t) => {
  const canister = await startIcfsCanister(t);
  const hashes: Buffer[] = [];
  for (let i = 1; i <= 100; i++) {
    const { manifest, chunks } = treeOf({ a: `release ${i}`, same: "in all of them" });
    await canister.owner.put(chunks);
    t.strictSame(await canister.publish(manifest), { ok: BigInt(i) });
    hashes.push((await canister.source.head())!.hash);
  }
  const headers = await canister.source.headers(100, 200);
  t.strictSame(headers.map(sha256), hashes.toReversed(), "the chain of headers is complete");
  const { settings } = await canister.owner.status();
  await canister.owner.configure({ ...settings, hold_nanoseconds: 0n });
  const { held, dropped } = await canister.owner.status();
  t.match([held.length, dropped], exactly(8, 92n));
});

t.test("ten thousand files", async (t) => {
  const { icfs, canister, directory } = await startCanister(t);
  const id = canister.toText();
  const tree = join(directory, "tree");
  for (let i = 0; i < 100; i++) {
    await mkdir(join(tree, `d${i}`), { recursive: true });
    await Promise.all(
      Array.from({ length: 100 }, (_, j) =>
        writeFile(join(tree, `d${i}/f${j}`), `file ${j} of directory ${i}\n`),
      ),
    );
  }
  const published = await icfs(["publish", tree, id, "--json"]);
  t.match(JSON.parse(published.stdout), { release: 1, files: 10_000 }, published.stderr);
  const mountpoint = await mountpointFor(t);
  // The local network answers no query while the canister makes pages for HTTP, which takes a busy machine half a minute.
  t.match(await icfs(["mount", id, mountpoint, "--retry", "5m"]), { code: 0 });
  t.equal((await sh("diff", "-r", tree, mountpoint)).code, 0, "diff -r finds no difference");
  t.equal((await icfs(["umount", mountpoint])).code, 0);
});
