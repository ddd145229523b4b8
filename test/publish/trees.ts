/** Directories to publish, with reproducible contents, and the results of chunking them. */
import { createCipheriv } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type ChunkedTree, chunkTree, type UploadChunk } from "../../lib/publish/chunker.ts";
import { Problems } from "../../lib/publish/problems.ts";
import type { PublishOptions } from "../../lib/publish/publish.ts";
import { EVERYTHING, scan } from "../../lib/publish/scan.ts";
import type { FileEntry } from "../../lib/tree/manifest.ts";

/** Options to read everything in a directory, without questions, and without a report of progress. */
export const PLAINLY = {
  reading: EVERYTHING,
  policy: { allowEmpty: false, privateFiles: "publish", lint: "off" },
  progress: { start() {}, add() {}, stop() {} },
  warn() {},
  permitted: Promise.resolve(),
  confirm: async () => true,
} satisfies Partial<PublishOptions>;

/** Bytes that look random and depend on `seed` alone. */
export function bytesOf(seed: number, length: number): Buffer {
  const key = Buffer.alloc(16);
  key.writeUInt32BE(seed);
  return createCipheriv("aes-128-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

/** Writes files, and the directories that they need. */
export async function writeTree(directory: string, files: Readonly<Record<string, Uint8Array | string>>) {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  }
}

/** Scans and chunks a directory without problems. */
export async function chunked(
  directory: string,
  hashed: (bytes: number) => void = () => {},
): Promise<ChunkedTree> {
  const problems = new Problems();
  const { entries } = await scan(directory, EVERYTHING, problems);
  const tree = await chunkTree(entries, problems, hashed);
  problems.throwIfAny(directory);
  return tree;
}

/** A file's bytes, put together from the chunks that are uploaded, as a reader does. */
export async function reassembled(tree: ChunkedTree, { extents }: FileEntry): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (const { chunk, offset, length } of extents) {
    parts.push((await tree.chunks[chunk]!.read()).subarray(offset, offset + length));
  }
  return Buffer.concat(parts);
}

/** How many bytes of `after`, manifest included, a canister with `before` lacks. */
export function bytesToSend(before: ChunkedTree, after: ChunkedTree): number {
  const there = new Set(before.chunks.map(name));
  return after.chunks.reduce((sum, chunk) => sum + (there.has(name(chunk)) ? 0 : chunk.size), 0);
}

function name({ sha256 }: UploadChunk): string {
  return Buffer.from(sha256).toString("hex");
}
