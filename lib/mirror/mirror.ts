/** Makes a mirror of a release, or brings one up to date: existing files are not fetched again. */
import pLimit from "p-limit";
import { UserError } from "../errors.ts";
import { isWrong } from "../ic/certificate/certificate.ts";
import { NoFileError } from "../kept-file.ts";
import type { ReleaseAddress } from "../source/address.ts";
import { fewAttempts } from "../source/few-attempts.ts";
import { ancestors } from "../source/icfs/chain.ts";
import {
  notHeld,
  openHead,
  openTree,
  type ProvenRelease,
  proveRelease,
} from "../source/icfs/open-release.ts";
import {
  type Head,
  MissingChunkError,
  type ReleaseReader,
  type VerifiedHeader,
} from "../source/icfs/release-reader.ts";
import { hexOf } from "../tree/hash.ts";
import type { MirrorDirectory } from "./directory.ts";

/** Called with the number of bytes of chunks. */
export interface MirrorProgress {
  start(stage: string, total: number): void;
  add(bytes: number): void;
}

export interface Mirrored {
  readonly release: VerifiedHeader;
  /** The record of the channel that points to it, if one was requested. */
  readonly channel: ProvenRelease["channel"];
  /** The number of the newest release, which the mirror's proof covers. */
  readonly newest: number;
  readonly certifiedAt: Date;
  readonly files: number;
  /** Total size of all files, in bytes. */
  readonly bytes: number;
  /** Chunks of the release, including the manifest's. */
  readonly chunks: number;
  /** How many of them were on disk and damaged. */
  readonly damaged: number;
  /** How many of them were missing or damaged. */
  readonly fetchedChunks: number;
  readonly fetchedBytes: number;
  /** Files that are no longer needed and were removed. */
  readonly removed: number;
}

/** Enough for a line with high latency, and within a boundary node's rate limit. */
const PARALLEL_CHUNKS = 16;
/** Bytes of a page of headers, as in the canister. */
const PAGE_BYTES = 1_000_000;

/**
 * Brings the directory to the release that the address names: fetches the chunks and headers that are missing, then replaces the proof.
 *
 * @param prune whether to remove chunks that the release does not have
 * @throws UserError when the directory has another canister's release, or a newer one; VerificationError, ... of the reader;
 * Error with the system's code
 */
export async function mirrorRelease(
  address: ReleaseAddress,
  reader: ReleaseReader,
  directory: MirrorDirectory,
  progress: MirrorProgress,
  prune: boolean,
): Promise<Mirrored> {
  const before = await releaseIn(directory, reader, address);
  const proven = await proveRelease(address, reader);
  if (before !== undefined && before.header.number > proven.newest.header.number) {
    throw new UserError(
      `the mirror has release ${before.header.number} of ${address.canister}, and the network says that ${proven.newest.header.number} is the newest: try again in some minutes; if the canister was reinstalled on purpose, name another directory`,
    );
  }
  const counting = counted(reader, progress);
  const tree = await openTree(address, proven, counting.reader, directory);
  const pieces = proven.header.manifest.chunks.map(hexOf);
  const chunks = new Map(tree.chunks.map((chunk) => [hexOf(chunk.sha256!), chunk]));
  const missing: ReleaseChunk[] = [];
  let bytes = 0;
  for (const [hash, { size }] of chunks) {
    if (await directory.has(hash, size)) continue;
    missing.push({ sha256: Buffer.from(hash, "hex"), size });
    bytes += size;
  }
  // Print nothing when there is nothing to do: cron mails all output.
  if (bytes > 0) progress.start("chunks", bytes);
  const limit = pLimit(PARALLEL_CHUNKS);
  let hasFailed = false;
  const writes: Promise<void>[] = [];
  const fetchOne = async (chunk: ReleaseChunk) => {
    try {
      const fetched = await fewAttempts(() => counting.reader.chunk(chunk));
      if (hasFailed) return;
      const writing = directory.write(hexOf(chunk.sha256), fetched);
      writes.push(writing);
      await writing;
    } catch (error) {
      hasFailed = true;
      // The remaining chunks are useless now.
      limit.clearQueue();
      throw error instanceof MissingChunkError ? await gone(error, address, proven, reader) : error;
    }
  };
  try {
    await Promise.all(missing.map((chunk) => limit(fetchOne, chunk)));
  } catch (error) {
    // Afterwards another process may work in the directory.
    await Promise.allSettled(writes);
    throw error;
  }
  const head = { ...proven.newest, certifiedAt: proven.certifiedAt, proof: proven.evidence.proof };
  const pages = await writeHeaders(head, reader, directory);
  const { proof, certifiedAt } = await newestProof(address, reader, head, proven.channel);
  await directory.publish(proof);
  // A client may still be reading with the previous proof.
  const inUse = before === undefined ? [] : await pagesFrom(before.header.number - 1, directory);
  await directory.prunePages(new Set([...pages, ...inUse]));
  const { header, hash } = proven;
  const { damaged } = directory;
  return {
    release: { header, hash },
    channel: proven.channel,
    newest: head.header.number,
    certifiedAt,
    files: tree.files,
    bytes: tree.bytes,
    chunks: chunks.size + pieces.length,
    damaged,
    ...counting.counts,
    removed: prune ? await directory.pruneChunks(new Set([...pieces, ...chunks.keys()])) : 0,
  };
}

/** Explains why the canister no longer has a chunk of the release, which it had at the start. */
async function gone(
  error: MissingChunkError,
  address: ReleaseAddress,
  { header, newest }: ProvenRelease,
  reader: ReleaseReader,
): Promise<Error> {
  if (header.number < newest.header.number) return notHeld(address.canister, header.number);
  const now = await openHead(address, reader).catch(() => undefined);
  if (now === undefined || now.header.number === header.number) return error;
  return new UserError(
    `release ${now.header.number} has come out in the meantime, and the canister has dropped release ${header.number}: run the command again, which keeps what has arrived`,
  );
}

interface ReleaseChunk {
  readonly sha256: Buffer;
  readonly size: number;
}

/** The newest release that the directory proves; undefined: none. @throws UserError when its proof is not of this canister */
async function releaseIn(
  directory: MirrorDirectory,
  reader: ReleaseReader,
  { canister }: ReleaseAddress,
): Promise<Head | undefined> {
  try {
    const proof = await directory.proof();
    return proof && (await reader.restore(proof));
  } catch (error) {
    if (!isWrong(error) && !(error instanceof NoFileError)) throw error;
    throw new UserError(
      `what the directory has is not a release of ${canister} on this network, or is damaged: name another directory, or remove its ${directory.proofPath}`,
      { cause: error },
    );
  }
}

/** Wraps the reader to count what is fetched, including chunks of the manifest. */
function counted(reader: ReleaseReader, progress: MirrorProgress) {
  const counts = { fetchedChunks: 0, fetchedBytes: 0 };
  const add = (bytes: number) => {
    counts.fetchedChunks += 1;
    counts.fetchedBytes += bytes;
  };
  const counting: ReleaseReader = {
    head: (accept) => reader.head(accept),
    restore: (proof) => reader.restore(proof),
    headers: (from, count, accept) => reader.headers(from, count, accept),
    manifest: (header, pieces) =>
      reader.manifest(header, {
        read: async (hash) => pieces?.read(hash),
        write: async (hash, piece) => {
          add(piece.length);
          await pieces?.write(hash, piece);
        },
      }),
    async chunk(reference, received) {
      const bytes = await reader.chunk(reference, received);
      add(bytes.length);
      progress.add(bytes.length);
      return bytes;
    },
  };
  return { reader: counting, counts };
}

/** Writes all headers below the newest one, and fetches only those that are missing. @returns the pages' first numbers */
async function writeHeaders(
  head: Head,
  reader: ReleaseReader,
  directory: MirrorDirectory,
): Promise<number[]> {
  const pages: number[] = [];
  const headers: ReleaseReader["headers"] = async (from, count, accept) => {
    const page =
      (await joined(from, count, reader, directory, accept)) ?? (await reader.headers(from, count, accept));
    accept?.(page);
    await directory.writeHeaders(from, page);
    pages.push(from);
    return page;
  };
  // Walking the chain verifies each header.
  for await (const _ of ancestors(head, { headers }));
  return pages;
}

/** A page that is mostly in the directory already; undefined when none of it is, or it is wrong. */
async function joined(
  from: number,
  count: number,
  reader: ReleaseReader,
  directory: MirrorDirectory,
  accept: ((headers: readonly Uint8Array[]) => void) | undefined,
): Promise<Uint8Array[] | undefined> {
  const start = Math.max(0, ...(await directory.pages()).filter((page) => page <= from));
  const missing = from - start;
  if (start === 0 || missing >= count) return undefined;
  const above = missing === 0 ? [] : await reader.headers(from, missing);
  const below = above.length === missing ? await directory.readHeaders(start) : undefined;
  if (below === undefined) return undefined;
  const page: Uint8Array[] = [];
  let bytes = 0;
  for (const header of [...above, ...below].slice(0, count)) {
    if (bytes >= PAGE_BYTES) break;
    bytes += header.length;
    page.push(header);
  }
  try {
    accept?.(page);
    return page;
  } catch (error) {
    if (!isWrong(error)) throw error;
    return undefined;
  }
}

/** The first numbers of the pages that a reader needs to walk down from header `from`, as far as they are here. */
async function pagesFrom(from: number, directory: MirrorDirectory): Promise<number[]> {
  const pages: number[] = [];
  for (let next = from; next > 0; ) {
    const page = await directory.readHeaders(next);
    if (page === undefined || page.length === 0) break;
    pages.push(next);
    next -= page.length;
  }
  return pages;
}

/**
 * A current proof, since fetching the rest may have taken hours; the first one if a newer release has come out, or the requested
 * channel was changed.
 */
async function newestProof(
  address: ReleaseAddress,
  reader: ReleaseReader,
  head: Head,
  channel: ProvenRelease["channel"],
): Promise<Head> {
  const now = await openHead(address, reader).catch(() => head);
  const isSame = channel === undefined || now.channels?.get(channel.name)?.record.serial === channel.serial;
  return isSame && now.hash.equals(head.hash) ? now : head;
}
