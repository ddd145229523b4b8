/**
 * Reads a whole file, since only a whole file has a hash: nothing of it counts before the last byte has arrived. Meanwhile, the data is
 * passed on in chunks of icfs's own size, each with its own hash, by which it can be fetched again and checked separately.
 */
import { createHash } from "node:crypto";
import { Readable, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { FormatError } from "../../errors.ts";
import { VerificationError } from "../../ic/certificate/certificate.ts";
import { hexOf, sha256 } from "../../tree/hash.ts";
import { MAX_CHUNK_BYTES } from "../../tree/limits.ts";

/** A file that has been read in full and verified. */
export interface WholeFile {
  /** Bytes, decoded. */
  readonly size: number;
  /** Of the bytes, decoded. */
  readonly sha256: Buffer;
  /** Of each chunk. */
  readonly chunks: readonly Buffer[];
}

/** Receives each chunk in turn, before it is verified. */
export type TakeChunk = (index: number, sha256: Buffer, bytes: Buffer) => Promise<void>;

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/** Whether icfs can decode content in this encoding. */
export function canDecode(encoding: string): boolean {
  return encoding === "identity" || Object.hasOwn(DECODERS, encoding);
}

/**
 * Reads a file to its end, and verifies it.
 *
 * @param content encoded
 * @param expected SHA-256 of the encoded content
 * @param most bytes that it may decode to
 * @throws VerificationError when it has another hash; FormatError when it cannot be decoded
 */
export async function readWhole(
  content: AsyncIterable<Buffer>,
  encoding: string,
  expected: Buffer,
  most: number,
  take: TakeChunk,
): Promise<WholeFile> {
  const hash = createHash("sha256");
  const hashed = async function* () {
    for await (const part of content) {
      hash.update(part);
      yield part;
    }
  };
  const verify = () => {
    const actual = hash.digest();
    if (actual.equals(expected)) return;
    throw new VerificationError(`its SHA-256 is ${hexOf(actual)}, and ${hexOf(expected)} is certified`);
  };
  if (encoding === "identity") {
    const { size, chunks } = await inChunks(hashed(), most, take);
    verify();
    return { size, sha256: expected, chunks };
  }
  const decoder = DECODERS[encoding]!();
  const decodedHash = createHash("sha256");
  let whole: Awaited<ReturnType<typeof inChunks>> | undefined;
  try {
    await pipeline(Readable.from(hashed()), decoder, async (decoded: AsyncIterable<Buffer>) => {
      whole = await inChunks(decoded, most, (index, sha256, bytes) => {
        decodedHash.update(bytes);
        return take(index, sha256, bytes);
      });
    });
  } catch (error) {
    if (!isOfDecoder(error)) throw error;
    throw new FormatError(`it is not ${encoding}: ${(error as Error).message}`);
  }
  verify();
  return { ...whole!, sha256: decodedHash.digest() };
}

/** Whether an error is one of zlib's: Z_DATA_ERROR, ERR_PADDING_2, ... */
function isOfDecoder(error: unknown): boolean {
  return error instanceof Error && "errno" in error && "code" in error && !("syscall" in error);
}

async function inChunks(
  parts: AsyncIterable<Buffer>,
  most: number,
  take: TakeChunk,
): Promise<{ size: number; chunks: Buffer[] }> {
  const chunks: Buffer[] = [];
  let size = 0;
  let held: Buffer[] = [];
  let heldBytes = 0;
  const flush = async () => {
    const bytes = Buffer.concat(held);
    held = [];
    heldBytes = 0;
    const hash = await sha256(bytes);
    await take(chunks.length, hash, bytes);
    chunks.push(hash);
  };
  for await (const part of parts) {
    size += part.length;
    if (size > most) throw new FormatError(`it has more than ${most} bytes`);
    for (let at = 0; at < part.length; ) {
      const piece = part.subarray(at, at + MAX_CHUNK_BYTES - heldBytes);
      held.push(piece);
      heldBytes += piece.length;
      at += piece.length;
      if (heldBytes === MAX_CHUNK_BYTES) await flush();
    }
  }
  if (heldBytes > 0) await flush();
  return { size, chunks };
}
