/**
 * For `node --import`: simulates a disk whose writes, syncs and renames take random times, so that other work happens in between.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

/** The longest delay. */
const MAX_DELAY_MS = 15;

type Work = (...args: unknown[]) => Promise<unknown>;

/** Delays methods of these names, before and after their work. */
function slow(object: object, names: readonly string[]): void {
  const methods = object as Record<string, Work>;
  for (const name of names) {
    const work = methods[name]!;
    methods[name] = async function late(...args) {
      await sleep(MAX_DELAY_MS * Math.random());
      const result = await work.apply(this, args);
      await sleep(MAX_DELAY_MS * Math.random());
      return result;
    };
  }
}

slow(fs.promises, ["rename", "writeFile"]);
await using file = await fs.promises.open("/dev/null");
slow(Object.getPrototypeOf(file), ["writeFile", "datasync", "sync"]);
syncBuiltinESMExports();
