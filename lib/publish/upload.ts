/** Uploads the chunks that a canister does not have, small ones together. */

import { UserError } from "../errors.ts";
import { type IcfsCanister, MAX_HASHES_ASKED } from "../icfs-canister.ts";
import { MAX_CHUNK_BYTES } from "../tree/limits.ts";
import type { UploadChunk } from "./chunker.ts";
import { Lane } from "./lane.ts";
import { patiently } from "./patience.ts";

/** Bytes of chunks in one `put`: the size of the largest chunk, so that all calls are alike. The IC accepts 2 MiB. */
const MAX_PUT_BYTES = MAX_CHUNK_BYTES;

/** The chunks that the canister does not have. @throws UserError for a malformed answer; errors of a call */
export async function missingChunks(
  canister: Pick<IcfsCanister, "missing">,
  chunks: readonly UploadChunk[],
): Promise<readonly UploadChunk[]> {
  const missing: UploadChunk[] = [];
  for (let start = 0; start < chunks.length; start += MAX_HASHES_ASKED) {
    const page = chunks.slice(start, start + MAX_HASHES_ASKED);
    const indexes = await patiently(() => canister.missing(page.map(({ sha256 }) => sha256)));
    // A node may answer anything: take each index once, and only valid ones.
    for (const index of new Set(indexes)) {
      const chunk = page[index];
      if (chunk === undefined) {
        throw new UserError(
          `the canister says that it does not have chunk ${index}, of ${page.length} it was asked about: ask another node, by publishing again`,
        );
      }
      missing.push(chunk);
    }
  }
  return missing;
}

export interface Upload {
  /** Resolves when everything has been stored. @throws UserError; errors of a call */
  readonly done: Promise<void>;
  /** Resolves when everything has probably arrived, before the last answers; perhaps never. */
  readonly nearEnd: Promise<void>;
  /** Stops sending, and calls nothing back any more. */
  end(): void;
}

/**
 * Uploads `chunks`.
 *
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
