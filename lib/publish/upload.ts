/** Sends the chunks that a canister has not got, small ones together. */
import { type IcfsCanister, MAX_HASHES_ASKED } from "../canister.ts";
import { UserError } from "../errors.ts";
import type { Chunk } from "./chunker.ts";
import { Lane } from "./lane.ts";
import { patiently } from "./patience.ts";

/** Bytes of chunks in one `put`: the IC's ingress limit is 2 MiB, with room for the envelope. */
const MAX_PUT_BYTES = 1_900_000;

/** Those of `chunks` that the canister has not got. */
export async function missingChunks(
  canister: IcfsCanister,
  chunks: readonly Chunk[],
): Promise<readonly Chunk[]> {
  const missing: Chunk[] = [];
  for (let start = 0; start < chunks.length; start += MAX_HASHES_ASKED) {
    const page = chunks.slice(start, start + MAX_HASHES_ASKED);
    const indexes = await patiently(() => canister.missing(page.map(({ sha256 }) => sha256)));
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
  const lane = new Lane();
  const send = async (batch: readonly Chunk[]) => {
    const hashes = await lane.send(async () =>
      canister.put(await Promise.all(batch.map((chunk) => chunk.read()))),
    );
    for (const [i, { sha256 }] of batch.entries()) {
      if (Buffer.compare(hashes[i] ?? new Uint8Array(), sha256) !== 0) {
        throw new UserError("the canister stored other bytes than were sent: publish again");
      }
    }
    uploaded(batch.reduce((sum, { size }) => sum + size, 0));
  };
  try {
    await Promise.all(batches(chunks).map(send));
  } finally {
    lane.end();
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
