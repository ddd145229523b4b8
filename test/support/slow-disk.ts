/** For `node --import`: a disk that takes its time to write, to sync and to rename, each time another, so that others come in between. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds at most. */
const SLOW = 15;

type Work = (...args: unknown[]) => Promise<unknown>;

/** The methods of these names are late before and after what they do. */
function slow(object: object, names: readonly string[]): void {
  const methods = object as Record<string, Work>;
  for (const name of names) {
    const work = methods[name]!;
    methods[name] = async function late(...args) {
      await sleep(SLOW * Math.random());
      const result = await work.apply(this, args);
      await sleep(SLOW * Math.random());
      return result;
    };
  }
}

slow(fs.promises, ["rename", "writeFile"]);
await using file = await fs.promises.open("/dev/null");
slow(Object.getPrototypeOf(file), ["writeFile", "datasync", "sync"]);
syncBuiltinESMExports();
