/** The hash that names a snapshot of a canister without releases: SHA-256 of its list. */
import { createHash } from "node:crypto";

/** Between two pauses: about a millisecond. */
const LINES_PER_STEP = 500;

/** In steps: a list may have 100,000 lines. */
export function* hashingList(lines: Iterable<string>): Generator<void, Buffer> {
  const hash = createHash("sha256");
  let some: string[] = [];
  for (const line of lines) {
    some.push(line);
    if (some.length < LINES_PER_STEP) continue;
    hash.update(some.join(""));
    some = [];
    yield;
  }
  return hash.update(some.join("")).digest();
}
