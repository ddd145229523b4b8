/** Pins: files in which mounts list the chunks that they need, and which their processes refresh, also when clocks are wrong. */
import { mkdir, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Pins } from "../../lib/cache/pins.ts";
import { eventually } from "../mount/mounts.ts";
import { stopClock } from "../support/clock.ts";
import { exactly } from "../support/exactly.ts";
import { temporaryDirectory } from "../support/icfs.ts";
import { chunk, open, startWriter } from "./stores.ts";

const KiB = 1024;

t.test("pins of dead processes do not count, and are removed", async (t) => {
  const { directory } = await open(t);
  const { key, bytes } = chunk();
  const writer = startWriter(t, directory, key);
  const pins = new Pins(directory);
  t.teardown(() => pins.close());
  await eventually("it is pinned", async () => (await pins.read()).length === 1);
  t.match(await pins.read(), exactly({ pid: writer.pid, name: "test" }));
  writer.kill("SIGKILL");
  await eventually("it is not any more", async () => (await pins.read()).length === 0);
  t.same(await readdir(join(directory, "pins")), [], "the dead process's pin file is removed");
  t.equal(bytes.length, 10 * KiB);
});

t.test("a silent pin of another container does not count, but is removed only after a day", async (t) => {
  const { directory } = await open(t);
  const { key } = chunk();
  const pins = new Pins(directory);
  t.teardown(() => pins.close());
  const path = join(directory, "pins/1-2-3-trees");
  await mkdir(join(directory, "pins"));
  const content = Buffer.from(key, "hex");
  await writeFile(path, content);
  const silentFor = (seconds: number) =>
    utimes(path, Date.now() / 1000 - seconds, Date.now() / 1000 - seconds);
  t.match(await pins.read(), exactly({ pid: 1, name: "trees" }));
  await silentFor(3600);
  t.same(await pins.read(), []);
  await silentFor(0);
  t.equal((await pins.read()).length, 1, "a pin that is refreshed after a pause counts again");
  await silentFor(25 * 3600);
  t.same(await pins.read(), []);
  t.same(await readdir(join(directory, "pins")), []);
});

/** Sets this process's clock forward or back. @param by milliseconds */
function setClock(t: Test, by: number): void {
  const { now } = Date;
  Date.now = () => now() + by;
  t.teardown(() => {
    Date.now = now;
  });
}

const DAY_MS = 24 * 3600 * 1000;

t.test("pins of other containers, when a clock was or is wrong", async (t) => {
  const { directory } = await open(t);
  const path = join(directory, "pins/1-2-3-trees");
  await mkdir(join(directory, "pins"));
  const write = async (ahead: number) => {
    await writeFile(path, Buffer.from(chunk().key, "hex"));
    await utimes(path, new Date(Date.now() + ahead), new Date(Date.now() + ahead));
  };
  const read = async () => {
    const pins = new Pins(directory);
    const found = await pins.read();
    await pins.close();
    return found.length;
  };
  await write(3600_000);
  t.equal(await read(), 0, "a pin from an hour in the future does not count");
  t.equal((await readdir(join(directory, "pins"))).length, 1);
  await write(2 * DAY_MS);
  t.equal(await read(), 0);
  t.same(await readdir(join(directory, "pins")), [], "a pin from two days in the future is removed");

  for (const by of [2 * DAY_MS, -2 * DAY_MS, 3600_000]) {
    await t.test(`the clock jumps by ${by / 3600_000} h`, async (t) => {
      await write(0);
      const pins = new Pins(directory);
      t.teardown(() => pins.close());
      setClock(t, by);
      t.equal((await pins.read()).length, 1, "the pin still counts right after the clock jumps");
      t.equal((await pins.read()).length, 1);
    });
  }
});

t.test("a removed pin is written again by the next heartbeat", async (t) => {
  const directory = await temporaryDirectory(t);
  const clock = stopClock(t);
  const pins = new Pins(directory);
  t.teardown(() => pins.close());
  const [first, second] = [chunk().key, chunk().key];
  await pins.pin("trees", [first]);
  await pins.pin("more", [second]);
  await pins.pin("trees", [second, first]);
  await pins.unpin("more");
  await rm(join(directory, "pins"), { recursive: true });
  await clock.pass(30_000);
  while ((await pins.read()).length === 0) await clock.pass(1);
  t.match(await pins.read(), exactly({ name: "trees", keys: new Set([first, second]) }));
});
