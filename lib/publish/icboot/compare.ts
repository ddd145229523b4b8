/** Compares local files with the canister's: it lists lengths and knows no hashes, so the bytes are read back. */
import pLimit from "p-limit";
import { messageOf, UserError } from "../../errors.ts";
import type { Call } from "../../ic/canister-calls.ts";
import { get, listing } from "../../source/icboot/icboot-canister.ts";
import { askedAgain } from "../patience.ts";
import type { Progress } from "../progress.ts";
import { type Part, partsOf, readPart } from "./parts.ts";
import type { PlainFile } from "./plain-files.ts";

/** Enough for a line with high latency, and within a boundary node's rate limit. */
const PARALLEL_READS = 8;

/** The files that the canister lists: lengths in bytes, by name. @throws UserError */
export async function listedLengths(call: Call): Promise<ReadonlyMap<string, number>> {
  try {
    const listed = await askedAgain(() => listing(call));
    return new Map(listed.map(({ path, size }) => [path, size]));
  } catch (error) {
    throw new UserError(`cannot find out what the canister has: ${messageOf(error)}`);
  }
}

/**
 * The files that the canister lacks, or has with other content.
 *
 * @param call makes a query
 * @param lengths as the canister lists them: only files of the same length are read
 * @param stage the name of this stage, for progress
 * @throws UserError
 */
export async function unlike(
  call: Call,
  files: readonly PlainFile[],
  lengths: ReadonlyMap<string, number>,
  stage: string,
  progress: Progress,
): Promise<PlainFile[]> {
  const different = new Set(files.filter(({ path, size }) => lengths.get(path) !== size));
  const parts = files.filter((file) => !different.has(file)).flatMap(partsOf);
  progress.start(
    stage,
    parts.reduce((sum, { size }) => sum + size, 0),
  );
  const limit = pLimit(PARALLEL_READS);
  const compare = async (part: Part) => {
    // One different part is enough.
    if (!different.has(part.file) && !(await isThere(call, part))) different.add(part.file);
    progress.add(part.size);
  };
  try {
    await Promise.all(parts.map((part) => limit(compare, part)));
  } finally {
    limit.clearQueue();
  }
  progress.stop();
  return files.filter((file) => different.has(file));
}

async function isThere(call: Call, part: Part): Promise<boolean> {
  const { file, offset, size } = part;
  const own = await readPart(part);
  try {
    return own.equals(await askedAgain(() => get(call, file.path, offset, size)));
  } catch (error) {
    throw new UserError(`cannot read back what the canister has of ${file.path}: ${messageOf(error)}`);
  }
}
