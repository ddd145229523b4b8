/**
 * One of several processes that share a disk cache: `container-writer.ts DIRECTORY COUNT`. It writes the same chunks as the others, pins
 * them, and counts up in a small file. Then it prints "kept" if all of that is in the cache.
 */
import { createHash } from "node:crypto";
import { openDiskStore } from "../../lib/cache/disk-store.ts";
import { createLog } from "../../lib/log.ts";

const [directory, count] = process.argv.slice(2);
const store = openDiskStore(directory!, 64 * 1024 * 1024, createLog("warn"));
const keys: string[] = [];
let isKept = true;
for (let i = 1; i <= Number(count); i++) {
  const bytes = Buffer.alloc(10_000, i);
  const key = createHash("sha256").update(bytes).digest("hex");
  keys.push(key);
  await store.write(key, bytes);
  const counted = await store.writeBlob("counter", Buffer.from(String(i)), async (now) => Number(now) < i);
  const pinned = await store.pin("trees", keys);
  const isCounted = Number(await store.readBlob("counter")) >= i;
  isKept &&= counted && pinned && isCounted && (await store.has(key, bytes.length));
}
await store.close();
console.log(isKept && store.problem === undefined ? "kept" : "not kept");
