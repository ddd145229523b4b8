/**
 * Cuts scanned files into chunks and hashes everything, reading each file once. A large file gets chunks of its own; small ones
 * are packed together, in path order; those made for machines are packed apart, machine by machine. The bytes are read again when
 * a chunk is uploaded, so that a tree of any size needs only a chunk's memory.
 */

import { createHash } from "node:crypto";
import { messageOf, UserError } from "../errors.ts";
import { hexOf } from "../tree/hash.ts";
import { MAX_CHUNK_BYTES, MAX_EXTENTS, MAX_MANIFEST_BYTES, MAX_MANIFEST_PIECES } from "../tree/limits.ts";
import type { ChunkReference, Entry, Manifest } from "../tree/manifest.ts";
import { encodeManifest } from "../tree/manifest-encoder.ts";
import { limitText, sizeText } from "../units.ts";
import { bytesOfFile, readAt } from "./file-bytes.ts";
import { cutManifest, PACK_TARGET_BYTES, Packer, type Piece, packOf } from "./packing.ts";
import type { Problems } from "./problems.ts";
import { isMade, type Scanned, type ScannedFile } from "./scanned.ts";
import { ChangedError, withFile } from "./seen.ts";

/** A part of a file: the source of a chunk's bytes. */
interface ByteRange {
  readonly file: ScannedFile;
  readonly offset: number;
  readonly length: number;
}

/** A chunk that can be uploaded. */
export interface UploadChunk extends ChunkReference {
  /** Its bytes, read and hashed again. @throws UserError when the file has changed in the meantime */
  read(): Promise<Buffer>;
}

/** A chunk of which only the source is kept. */
interface HashedChunk extends ChunkReference {
  readonly sources: readonly ByteRange[];
}

interface HashedExtent {
  readonly chunk: HashedChunk;
  readonly offset: number;
  readonly length: number;
}

interface HashedFile {
  readonly size: number;
  readonly sha256: Buffer;
  readonly extents: readonly HashedExtent[];
}

/** A small file, before it is packed. */
interface SmallFile extends Piece {
  readonly file: ScannedFile;
  /** The file's extent is added here once the pack is complete and has a hash. */
  readonly extents: HashedExtent[];
}

export interface ChunkedTree {
  readonly manifest: Manifest;
  /** The files' chunks in the manifest's order, then the manifest's own chunks. */
  readonly chunks: readonly UploadChunk[];
  /** Hashes of the manifest's chunks. */
  readonly manifestPieces: readonly Uint8Array[];
  /** Total size of all files, in bytes. */
  readonly bytes: number;
}

/**
 * @param problems receives the files that cannot be read, or that differ from the scan
 * @param hashed called with the number of bytes read, from time to time
 */
export async function chunkTree(
  scanned: readonly Scanned[],
  problems: Problems,
  hashed: (bytes: number) => void,
): Promise<ChunkedTree> {
  // Shared: allocating one for each megabyte takes longer than reading.
  const buffer = Buffer.allocUnsafe(MAX_CHUNK_BYTES);
  const files = new Map<string, HashedFile>();
  // Followed links may have given a file more than one path.
  const bySource = new Map<string, HashedFile>();
  const read = async (entry: ScannedFile, packer: Packer<SmallFile>) => {
    try {
      const source = "source" in entry ? entry.source : undefined;
      let file = source === undefined ? undefined : bySource.get(source);
      if (file !== undefined) {
        hashed(file.size);
      } else {
        file = await (entry.size < PACK_TARGET_BYTES
          ? packSmall(entry, buffer, packer, hashed)
          : chunkLarge(entry, buffer, hashed));
        if (source !== undefined) bySource.set(source, file);
      }
      files.set(entry.path, file);
    } catch (error) {
      problems.add(`${entry.path}: ${messageOf(error)}`);
    }
  };
  const packer = new Packer(chunkPack);
  for (const entry of scanned) if (entry.kind === "file" && !isMade(entry)) await read(entry, packer);
  packer.close();
  // In packs of their own, a machine's files together: a change to one machine changes one pack, and none of the directory's.
  const madePacker = new Packer(chunkPack);
  for (const entry of scanned.filter(isMade).sort((a, b) => a.made.order - b.made.order)) {
    await read(entry, madePacker);
  }
  madePacker.close();
  return assemble(scanned, files);
}

function chunkLarge(file: ScannedFile, buffer: Buffer, hashed: (bytes: number) => void): Promise<HashedFile> {
  return withFile(file, async (handle) => {
    const extents: HashedExtent[] = [];
    const hash = createHash("sha256");
    let offset = 0;
    for await (const bytes of bytesOfFile(handle, file.size, buffer)) {
      const { length } = bytes;
      hash.update(bytes);
      const sources = [{ file, offset, length }];
      extents.push({ chunk: { sha256: sha256Of(bytes), size: length, sources }, offset: 0, length });
      offset += length;
      hashed(length);
    }
    return { size: file.size, sha256: hash.digest(), extents };
  });
}

async function packSmall(
  file: ScannedFile,
  buffer: Buffer,
  packer: Packer<SmallFile>,
  hashed: (bytes: number) => void,
): Promise<HashedFile> {
  const bytes = await withFile(file, async (handle) => {
    let all: Buffer = Buffer.alloc(0);
    for await (const some of bytesOfFile(handle, file.size, buffer)) all = Buffer.from(some);
    return all;
  });
  const sha256 = sha256Of(bytes);
  const extents: HashedExtent[] = [];
  // Added only now: a pack must not contain a file that changed while it was read.
  if (bytes.length > 0) packer.add({ bytes, sha256, file, extents });
  hashed(bytes.length);
  return { size: bytes.length, sha256, extents };
}

/** Makes a chunk of a pack of small files. */
function chunkPack(files: readonly SmallFile[]): void {
  const bytes = packOf(files);
  const sources = files.map(({ file, bytes: { length } }) => ({ file, offset: 0, length }));
  const chunk = { sha256: sha256Of(bytes), size: bytes.length, sources };
  let offset = 0;
  for (const { bytes, extents } of files) {
    extents.push({ chunk, offset, length: bytes.length });
    offset += bytes.length;
  }
}

/** Numbers the chunks in the order in which files name them, merges equal ones, and builds the manifest. */
function assemble(scanned: readonly Scanned[], files: ReadonlyMap<string, HashedFile>): ChunkedTree {
  const numbers = new Map<string, number>();
  const chunks: UploadChunk[] = [];
  const number = (chunk: HashedChunk): number => {
    const key = hexOf(chunk.sha256);
    let index = numbers.get(key);
    if (index === undefined) {
      index = chunks.length;
      numbers.set(key, index);
      chunks.push(fileChunk(chunk));
    }
    return index;
  };
  let bytes = 0;
  const entries: Entry[] = [];
  for (const entry of scanned) {
    if (entry.kind === "symlink") {
      entries.push({ kind: "symlink", path: entry.path, modified: entry.modified, target: entry.target });
    } else if (entry.kind === "directory") {
      entries.push({ kind: "directory", path: entry.path, modified: entry.modified });
    } else {
      const file = files.get(entry.path);
      // The file is unreadable, which has been reported, and nothing will be published.
      if (file === undefined) continue;
      bytes += file.size;
      entries.push({
        kind: "file",
        path: entry.path,
        modified: entry.modified,
        size: file.size,
        sha256: file.sha256,
        executable: entry.executable,
        extents: file.extents.map(({ chunk, offset, length }) => ({ chunk: number(chunk), offset, length })),
      });
    }
  }
  const manifest: Manifest = { chunks: chunks.slice(), entries };
  const pieces = cutManifest(encodeManifest(manifest)).map(memoryChunk);
  checkLimits(manifest, pieces);
  return {
    manifest,
    chunks: [...chunks, ...pieces],
    manifestPieces: pieces.map(({ sha256 }) => sha256),
    bytes,
  };
}

/** Checks the canister's limits before anything is uploaded. @throws UserError */
function checkLimits({ entries }: Manifest, pieces: readonly UploadChunk[]): void {
  const extents = entries.reduce((sum, entry) => sum + (entry.kind === "file" ? entry.extents.length : 0), 0);
  if (extents > MAX_EXTENTS) {
    throw new UserError(
      `the tree has ${extents} pieces of files, over the limit of ${MAX_EXTENTS}: publish less at once`,
    );
  }
  const bytes = pieces.reduce((sum, { size }) => sum + size, 0);
  if (bytes > MAX_MANIFEST_BYTES || pieces.length > MAX_MANIFEST_PIECES) {
    throw new UserError(
      `the tree's manifest has ${sizeText(bytes)} in ${pieces.length} pieces, over the limit of ${limitText(MAX_MANIFEST_BYTES)} in ${MAX_MANIFEST_PIECES}: use shorter paths, or publish less at once`,
    );
  }
}

function memoryChunk(bytes: Buffer): UploadChunk {
  return { sha256: sha256Of(bytes), size: bytes.length, read: () => Promise.resolve(bytes) };
}

function fileChunk({ sha256, size, sources }: HashedChunk): UploadChunk {
  return {
    sha256,
    size,
    async read() {
      const parts: Buffer[] = [];
      for (const { file, offset, length } of sources) {
        try {
          const part = Buffer.allocUnsafe(length);
          parts.push(await withFile(file, (handle) => readAt(handle, offset, part)));
        } catch (error) {
          throw new UserError(
            error instanceof ChangedError
              ? `a file changed while it was being published (${file.path}: ${error.message}): publish again`
              : `${file.path} was hashed, but cannot be read any more (${messageOf(error)}): publish again`,
          );
        }
      }
      const bytes = Buffer.concat(parts);
      if (!sha256Of(bytes).equals(sha256)) {
        const names = [...new Set(sources.map(({ file }) => file.path))].slice(0, 3).join(", ");
        throw new UserError(`a file changed while it was being published (${names}): publish again`);
      }
      return bytes;
    },
  };
}

function sha256Of(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
