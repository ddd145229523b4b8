/** 1 GiB on the local network: it is published and read back through a mount. Then parts of it are replaced and freed, several times. */
import { randomBytes } from "node:crypto";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { icfsCanister } from "../../lib/icfs-canister.ts";
import { mountpointFor, sh } from "../mount/mounts.ts";
import { deployCanister } from "../support/canister-network.ts";

const MIB = 1024 * 1024;
/** The size of each file in MiB, 1 GiB together. The first file is replaced. */
const FILES = [8, ...Array.from({ length: 8 }, () => 127)];
const REPLACED_MIB = FILES[0]!;

/** Writes random bytes, a megabyte at a time. */
async function writeRandom(file: string, mebibytes: number): Promise<void> {
  await using handle = await open(file, "w");
  for (let i = 0; i < mebibytes; i++) await handle.write(randomBytes(MIB));
}

t.test(
  "a gigabyte is published, read back through a mount, and partly replaced",
  { timeout: 1_800_000 },
  async (t) => {
    const { icfs, canister, directory, publisherAgent } = await deployCanister(t);
    const id = canister.toText();
    const tree = join(directory, "tree");
    await mkdir(tree);
    for (const [i, mebibytes] of FILES.entries()) await writeRandom(join(tree, `file-${i}`), mebibytes);
    const publish = async () => {
      const { stdout, stderr, code } = await icfs(["publish", tree, id, "--json"], { limit: 1_200_000 });
      t.equal(code, 0, stderr);
      return JSON.parse(stdout);
    };
    t.match(await publish(), { release: 1, bytes: 1024 * MIB });
    const mountpoint = await mountpointFor(t);
    // As in pressure.long.ts.
    t.match(await icfs(["mount", id, mountpoint, "--retry", "5m"]), { code: 0 });
    for (const i of FILES.keys()) {
      t.equal((await sh("cmp", join(tree, `file-${i}`), join(mountpoint, `file-${i}`))).code, 0, `file-${i}`);
    }
    t.equal((await icfs(["umount", mountpoint])).code, 0);

    // One file is replaced. Only the newest release is held, so the old bytes are freed, and their space is used again.
    const owner = icfsCanister(publisherAgent, canister);
    const { settings } = await owner.status();
    await owner.configure({ ...settings, hold_newest: 1, hold_nanoseconds: 0n });
    const before = await owner.status();
    for (let release = 2; release <= 4; release++) {
      await writeRandom(join(tree, "file-0"), REPLACED_MIB);
      t.match(await publish(), { release });
    }
    const after = await owner.status();
    t.equal(after.chunk_bytes, after.region_bytes - after.hole_bytes);
    t.ok(
      after.region_bytes <= before.region_bytes + BigInt(2 * REPLACED_MIB * MIB),
      `the region only grows from ${before.region_bytes} to ${after.region_bytes}`,
    );
  },
);
