/** When a cache asks for a garbage collection, which stops the process for some ten milliseconds. */
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import t, { type Test } from "tap";
import { Garbage } from "../../lib/cache/garbage.ts";
import { eventually } from "../mount/mounts.ts";
import { run } from "../support/icfs.ts";

const MIB = 1024 * 1024;
/** The cache's memory. Half as much garbage may pile up. */
const MEMORY = 128 * MIB;

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** Counts how often a collection is requested, and a thorough one. */
function counted(t: Test): { asked: number; thorough: number } {
  const count = { asked: 0, thorough: 0 };
  const { gc } = globalThis;
  globalThis.gc = ((options?: NodeJS.GCOptions) => {
    count.asked += 1;
    if (options?.flavor === "last-resort") count.thorough += 1;
  }) as typeof globalThis.gc;
  t.teardown(() => {
    globalThis.gc = gc;
  });
  return count;
}

function letGo(garbage: Garbage, chunks: number): WeakRef<ArrayBufferLike>[] {
  return Array.from({ length: chunks }, () => {
    const chunk = Buffer.allocUnsafeSlow(MIB);
    garbage.letGo(chunk);
    return new WeakRef(chunk.buffer);
  });
}

t.test("no collection is requested for chunks that V8 collects in time by itself", async (t) => {
  const count = counted(t);
  const garbage = new Garbage(MEMORY);
  for (let i = 0; i < 10; i++) {
    const chunks = letGo(garbage, 20);
    // A WeakRef keeps its target alive until the turn is over.
    await eventually("its chunks are collected", () => {
      collect();
      return chunks.every((chunk) => chunk.deref() === undefined);
    });
    for (let turns = 0; turns < 3; turns++) await turn();
  }
  t.equal(count.asked, 0);
});

t.test("a collection is requested once when released chunks amount to half the memory", async (t) => {
  const count = counted(t);
  const garbage = new Garbage(MEMORY);
  const chunks = Array.from({ length: 130 }, () => Buffer.allocUnsafeSlow(MIB));
  for (const chunk of chunks.slice(0, 63)) garbage.letGo(chunk);
  t.equal(count.asked, 0);
  garbage.letGo(chunks[63]!);
  t.equal(count.asked, 1);
  for (const chunk of chunks.slice(64, 127)) garbage.letGo(chunk);
  t.equal(count.asked, 1, "no further collection is requested before as much is released again");
  garbage.letGo(chunks[127]!);
  t.equal(count.asked, 2);
});

t.test(
  "a thorough collection is requested whenever a GiB of chunks has been released, and no other",
  async (t) => {
    const count = counted(t);
    const garbage = new Garbage(4 * 1024 * MIB);
    const chunk = Buffer.alloc(MIB);
    for (let i = 0; i < 1023; i++) garbage.letGo(chunk);
    t.same(count, { asked: 0, thorough: 0 });
    garbage.letGo(chunk);
    t.same(count, { asked: 1, thorough: 1 });
    for (let i = 0; i < 1023; i++) garbage.letGo(chunk);
    t.same(count, { asked: 1, thorough: 1 });
    garbage.letGo(chunk);
    t.same(count, { asked: 2, thorough: 2 });
  },
);

/** A process whose heap was once large. It prints its resident memory, in MiB, before and after a GiB of chunks is released. */
const ONCE_LARGE = `
  import { Garbage } from ${JSON.stringify(new URL("../../lib/cache/garbage.ts", import.meta.url).href)};
  const taken = () => process.memoryUsage.rss() / 2 ** 20;
  let objects = Array.from({ length: 400_000 }, (_, i) => ({ i, list: [i] }));
  objects = undefined;
  for (let i = 0; i < 3; i++) gc();
  const before = taken();
  const garbage = new Garbage(4 * 2 ** 30);
  const chunk = Buffer.alloc(2 ** 20);
  for (let i = 0; i < 1024; i++) garbage.letGo(chunk);
  console.log(JSON.stringify([before, taken()]));
`;

t.test("a heap that was once large gives its memory back", async (t) => {
  const flags = ["--expose-gc", "--max-semi-space-size=1", "--input-type=module", "--eval", ONCE_LARGE];
  const { code, stdout, stderr } = await run(process.execPath, flags, { env: process.env });
  t.same({ code, stderr }, { code: 0, stderr: "" });
  const [before, after] = JSON.parse(stdout) as [number, number];
  t.ok(after < before - 15, `${before.toFixed()} MiB before, ${after.toFixed()} after`);
});
