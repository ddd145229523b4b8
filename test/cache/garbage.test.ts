/** When a cache asks for a garbage collection, which stops the process for some ten milliseconds. */
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import t, { type Test } from "tap";
import { Garbage } from "../../lib/cache/garbage.ts";
import { eventually } from "../mount/mounts.ts";

const MIB = 1024 * 1024;
/** The cache's memory. Half as much garbage may pile up. */
const MEMORY = 128 * MIB;

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** Counts how often a collection is requested. */
function counted(t: Test): { asked: number } {
  const count = { asked: 0 };
  const { gc } = globalThis;
  globalThis.gc = (() => {
    count.asked += 1;
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
