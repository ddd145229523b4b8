/** Reads files one after another, as programs do: `read.ts FILE...`. Prints `{"seconds", "sha256"}` of all their bytes. */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";

/** The read size of `cat` and `cp`. */
const BLOCK = 128 * 1024;

const read: Buffer[] = [];
const started = performance.now();
for (const file of process.argv.slice(2)) {
  const descriptor = openSync(file, "r");
  for (;;) {
    const block = Buffer.allocUnsafe(BLOCK);
    const length = readSync(descriptor, block);
    if (length === 0) break;
    read.push(block.subarray(0, length));
  }
  closeSync(descriptor);
}
const seconds = (performance.now() - started) / 1000;
const hash = createHash("sha256");
for (const block of read) hash.update(block);
console.log(JSON.stringify({ seconds, sha256: hash.digest("hex") }));
