/** Room for chunks on disk, when many writes ask for it at once. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import t from "tap";
import { DiskSpace, stored } from "../../lib/cache/disk-space.ts";
import { Pins } from "../../lib/cache/pins.ts";
import { eventually } from "../mount/mounts.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { chunk } from "./stores.ts";

const CHUNKS = 400;
const OTHERS = 10;
/** More than the size on disk of a small chunk and its directory. */
const MARGIN_BYTES = 20_000;

t.test("room reserved while chunks are evicted counts as used", async (t) => {
  const directory = await temporaryDirectory(t);
  for (let i = 0; i < CHUNKS; i++) {
    const { key, bytes } = chunk();
    const prefix = join(directory, "chunks", key.slice(0, 2));
    await mkdir(prefix, { recursive: true });
    await writeFile(join(prefix, key), bytes);
  }
  const pins = new Pins(directory);
  t.teardown(() => pins.close());
  const { taken: capacity } = await stored(directory);
  const space = new DiskSpace(directory, capacity, pins);
  await eventually("it has counted", async () => space.used !== undefined);
  let isEvicting = true;
  const first = space.makeRoom(1).finally(() => {
    isEvicting = false;
  });
  const others: ReturnType<DiskSpace["makeRoom"]>[] = [];
  while (isEvicting) {
    if (others.length < OTHERS && space.used! < capacity - MARGIN_BYTES) others.push(space.makeRoom(1));
    await setImmediate();
  }
  t.ok(others.length > 0, "room is reserved while chunks are evicted");
  // The rooms are given back without a write.
  for (const room of await Promise.all([first, ...others])) room!(0);
  t.equal(space.used, (await stored(directory)).taken);
});
