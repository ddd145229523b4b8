/**
 * Sends the chunks that a canister has not got: small ones together, each again when it fails, and as many at a time as
 * the link and the canister take.
 */
import { AdaptiveWindow } from "../adaptive-window.ts";
import { type IcfsCanister, MAX_HASHES_ASKED } from "../canister.ts";
import { UserError } from "../errors.ts";
import type { Chunk } from "./chunker.ts";
import { patiently } from "./patience.ts";

/** Bytes of chunks in one `put`: the IC's ingress limit is 2 MiB, with room for the envelope. */
const MAX_PUT_BYTES = 1_900_000;
/** How long a `put` may take until its answer: the first four share the uplink, of which 64 kB/s are enough then. */
export const PUT_TIMEOUT_MS = 120_000;
/** An update takes a second or more of consensus, so several are under way; a subnet takes in about 4 MiB/s. */
const FIRST_PUTS = 4;
const MOST_PUTS = 8;
/** While others arrive, one that fails is tried for longer: the network is bad, but not away. */
const PROGRESS_MS = 60_000;

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
  const ending = new AbortController();
  const lane = new Lane(ending.signal);
  let lastArrival = Number.NEGATIVE_INFINITY;
  const patience = {
    goOn: () => performance.now() - lastArrival < PROGRESS_MS,
    signal: ending.signal,
  };
  const send = async (batch: readonly Chunk[]) => {
    const hashes = await patiently(
      () => lane.pass(async () => canister.put(await Promise.all(batch.map((chunk) => chunk.read())))),
      patience,
    );
    for (const [i, { sha256 }] of batch.entries()) {
      if (Buffer.compare(hashes[i] ?? new Uint8Array(), sha256) !== 0) {
        throw new UserError("the canister stored other bytes than were sent: publish again");
      }
    }
    lastArrival = performance.now();
    uploaded(batch.reduce((sum, { size }) => sum + size, 0));
  };
  try {
    await Promise.all(batches(chunks).map(send));
  } finally {
    // When one has failed for good, the others that wait have no use any more.
    ending.abort();
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

/** Lets attempts through, first come, first served, and no more at once than go well. */
class Lane {
  readonly #window = new AdaptiveWindow({ deadline: PUT_TIMEOUT_MS, first: FIRST_PUTS, most: MOST_PUTS });
  readonly #waiting: (() => void)[] = [];
  readonly #signal: AbortSignal;
  #underWay = 0;

  /** @param signal turns away whoever waits, or comes later */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#admit());
  }

  async pass<T>(attempt: () => Promise<T>): Promise<T> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      this.#admit();
    });
    const started = performance.now();
    try {
      this.#signal.throwIfAborted();
      const result = await attempt();
      this.#window.arrived(performance.now() - started);
      return result;
    } catch (error) {
      this.#window.failed();
      throw error;
    } finally {
      this.#underWay -= 1;
      this.#admit();
    }
  }

  #admit(): void {
    while (this.#waiting.length > 0 && (this.#signal.aborted || this.#window.hasRoom(this.#underWay))) {
      this.#underWay += 1;
      this.#waiting.shift()!();
    }
  }
}
