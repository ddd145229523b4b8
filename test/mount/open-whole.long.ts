/** `--open whole`: an open file stays readable, whatever else is read meanwhile, with and without a network. */
import { createHash, randomBytes } from "node:crypto";
import t from "tap";
import { startMountable } from "../support/mountable.ts";
import { eventually, HUNG, holding, sh } from "./mounts.ts";

t.setTimeout(30 * HUNG);

const MIB = 1024 * 1024;
const c = await startMountable(t);
const wanted = randomBytes(4 * MIB);
const others = Array.from({ length: 3 }, (_, i) => `other-${i}`);
await c.publish({
  wanted,
  ...Object.fromEntries(others.map((name) => [name, randomBytes(6 * MIB)])),
  larger: randomBytes(10 * MIB),
});

t.test("without a disk cache, an open file stays readable in a memory too small for all files", async (t) => {
  const mounted = await c.mount(
    ...["--open", "whole", "--prefetch", "none", "--max-cache-size", "0", "--memory", "8MiB"],
  );
  const readAll = (name: string) => sh("cat", mounted.at(name));
  const holder = await holding(t, mounted.at("wanted"));
  t.match(
    await readAll("other-0"),
    { code: 1, stderr: /Input\/output error/ },
    "there is no room for a second open file",
  );
  t.match(
    await readAll("larger"),
    { code: 1, stderr: /Input\/output error/ },
    "a file larger than the memory cannot be read at all",
  );
  t.match((await mounted.status()).lastError?.message, /larger than the cache has room for/);
  c.proxy.down = true;
  t.equal(
    await holder.rest(),
    createHash("sha256").update(wanted).digest("hex"),
    "the open file is read without the network",
  );
  c.proxy.down = false;
  await holder.close();
  await eventually("it is closed", async () => (await mounted.status()).openFiles === 0);
  for (const name of others) {
    await eventually(`${name} can be read`, async () => (await readAll(name)).code === 0);
  }
  await mounted.umount();
});
