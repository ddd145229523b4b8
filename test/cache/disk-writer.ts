/** Writes random chunks into a disk store until it is killed: `disk-writer.ts DIRECTORY [PINNED]`. */
import { createHash, randomBytes } from "node:crypto";
import { DiskStore } from "../../lib/cache/disk-store.ts";
import { createLog } from "../../lib/log.ts";

const [directory, pinned] = process.argv.slice(2);
const store = new DiskStore(directory!, 64 * 1024 * 1024, createLog("warn"));
if (pinned) await store.pin("test", [pinned]);
for (;;) {
  const bytes = randomBytes(100_000);
  await store.write(createHash("sha256").update(bytes).digest("hex"), bytes);
}
