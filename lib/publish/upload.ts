/** Sends the chunks that a canister has not got: several at a time, small ones together, each again when it fails. */
import pLimit from "p-limit";
import { type IcfsCanister, MAX_HASHES_ASKED } from "../canister.ts";
import { UserError } from "../errors.ts";
import { isTransient } from "../ic/agent-error.ts";
import { retrying } from "../retry.ts";
import type { Chunk } from "./chunker.ts";

/** Bytes of chunks in one `put`: the IC's ingress limit is 2 MiB, with room for the envelope. */
const MAX_PUT_BYTES = 1_900_000;
/** An update takes a second or more of consensus, so several are under way; a subnet takes in about 4 MiB/s. */
const PARALLEL_PUTS = 6;
/** With these pauses: about half a minute of a network that is away or too busy. */
const ATTEMPTS = 7;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

/** Those of `chunks` that the canister has not got. */
export async function missingChunks(
  canister: IcfsCanister,
  chunks: readonly Chunk[],
): Promise<readonly Chunk[]> {
  const missing: Chunk[] = [];
  for (let start = 0; start < chunks.length; start += MAX_HASHES_ASKED) {
    const page = chunks.slice(start, start + MAX_HASHES_ASKED);
    const indexes = await attempt(() => canister.missing(page.map(({ sha256 }) => sha256)));
    for (const index of indexes) missing.push(page[index]!);
  }
  return missing;
}

/**
 * Uploads `chunks`.
 * @param uploaded called with the number of bytes that have arrived, from time to time
 */
export async function uploadChunks(
  canister: IcfsCanister,
  chunks: readonly Chunk[],
  uploaded: (bytes: number) => void,
): Promise<void> {
  const limit = pLimit(PARALLEL_PUTS);
  try {
    await Promise.all(
      batches(chunks).map((batch) =>
        limit(async () => {
          const bytes = await Promise.all(batch.map((chunk) => chunk.read()));
          const hashes = await attempt(() => canister.put(bytes));
          for (const [i, { sha256 }] of batch.entries()) {
            if (Buffer.compare(hashes[i] ?? new Uint8Array(), sha256) !== 0) {
              throw new UserError("the canister stored other bytes than were sent: publish again");
            }
          }
          uploaded(batch.reduce((sum, { size }) => sum + size, 0));
        }),
      ),
    );
  } catch (error) {
    // The others that wait have no use any more.
    limit.clearQueue();
    throw error;
  }
}

function batches(chunks: readonly Chunk[]): Chunk[][] {
  const result: Chunk[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const chunk of chunks) {
    if (bytes + chunk.size > MAX_PUT_BYTES) {
      result.push([]);
      bytes = 0;
    }
    result.at(-1)!.push(chunk);
    bytes += chunk.size;
  }
  return result;
}

/** Tries again while that can help. */
function attempt<T>(call: () => Promise<T>): Promise<T> {
  return retrying(call, {
    firstPause: FIRST_PAUSE_MS,
    longestPause: LONGEST_PAUSE_MS,
    again: (error, attempts) => attempts < ATTEMPTS && isTransient(error),
  });
}
