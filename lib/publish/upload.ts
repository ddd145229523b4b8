/** Sends the chunks that a canister has not got, small ones together. */

import { UserError } from "../errors.ts";
import { type IcfsCanister, MAX_HASHES_ASKED } from "../icfs-canister.ts";
import { MAX_CHUNK_BYTES } from "../tree/limits.ts";
import type { UploadChunk } from "./chunker.ts";
import { Lane } from "./lane.ts";
import { patiently } from "./patience.ts";

/** Bytes of chunks in one `put`: as many as the largest chunk has, so that all calls are alike. The IC takes 2 MiB. */
const MAX_PUT_BYTES = MAX_CHUNK_BYTES;

/** Those of `chunks` that the canister has not got. @throws UserError when its answer is none; or what a call throws */
export async function missingChunks(
  canister: Pick<IcfsCanister, "missing">,
  chunks: readonly UploadChunk[],
): Promise<readonly UploadChunk[]> {
  const missing: UploadChunk[] = [];
  for (let start = 0; start < chunks.length; start += MAX_HASHES_ASKED) {
    const page = chunks.slice(start, start + MAX_HASHES_ASKED);
    const indexes = await patiently(() => canister.missing(page.map(({ sha256 }) => sha256)));
    // A node may say anything: each once, and only what was asked about.
    for (const index of new Set(indexes)) {
      const chunk = page[index];
      if (chunk === undefined) {
        throw new UserError(
          `the canister says that it has not got chunk ${index}, of ${page.length} it was asked about: ask another node, by publishing again`,
        );
      }
      missing.push(chunk);
    }
  }
  return missing;
}

export interface Upload {
  /** Resolves when all has been stored. @throws UserError, or what a call throws */
  readonly done: Promise<void>;
  /** Resolves when all is probably there, though the last answers are still to come; perhaps never. */
  readonly nearEnd: Promise<void>;
  /** Sends no more of what waits, and tells of nothing more. */
  end(): void;
}

/**
 * Uploads `chunks`.
 * @param uploaded called with the number of bytes that have arrived, from time to time
 */
export function uploadChunks(
  canister: Pick<IcfsCanister, "put">,
  chunks: readonly UploadChunk[],
  uploaded: (bytes: number) => void,
): Upload {
  const lane = new Lane();
  let isOver = false;
  const end = () => {
    isOver = true;
    lane.end();
  };
  const send = async (batch: readonly UploadChunk[]) => {
    const bytes = batch.reduce((sum, { size }) => sum + size, 0);
    const hashes = await lane.send(
      async () => canister.put(await Promise.all(batch.map((chunk) => chunk.read()))),
      bytes,
    );
    for (const [i, { sha256 }] of batch.entries()) {
      if (Buffer.compare(hashes[i] ?? new Uint8Array(), sha256) !== 0) {
        throw new UserError("the canister stored other bytes than were sent: publish again");
      }
    }
    if (!isOver) uploaded(bytes);
  };
  const done = Promise.all(batches(chunks).map(send)).then(() => {});
  return { done: done.finally(end), nearEnd: lane.nearEnd, end };
}

function batches(chunks: readonly UploadChunk[]): UploadChunk[][] {
  const result: UploadChunk[][] = [];
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
