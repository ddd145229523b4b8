/** The name of a snapshot of a canister without releases: SHA-256 of its list. */
import { createHash } from "node:crypto";

/** Lines between two pauses: about a millisecond. */
const LINES_PER_STEP = 500;

/** SHA-256 of a list's lines, in steps: there may be 100,000. */
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
