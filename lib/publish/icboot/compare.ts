/** What the canister has of some files: it lists lengths and knows no hashes, so bytes are read back. */
import pLimit from "p-limit";
import { messageOf, UserError } from "../../errors.ts";
import type { Call } from "../../ic/canister-calls.ts";
import { get, listing } from "../../source/icboot/icboot-canister.ts";
import { askedAgain } from "../patience.ts";
import type { Progress } from "../progress.ts";
import { type Part, partsOf, readPart } from "./parts.ts";
import type { PlainFile } from "./plain-files.ts";

/** Enough for a long link, few enough for a boundary node's rate limit. */
const PARALLEL_READS = 8;

/** What the canister lists, by name: lengths in bytes. @throws UserError */
export async function listedLengths(call: Call): Promise<ReadonlyMap<string, number>> {
  try {
    const listed = await askedAgain(() => listing(call));
    return new Map(listed.map(({ path, size }) => [path, size]));
  } catch (error) {
    throw new UserError(`cannot find out what the canister has: ${messageOf(error)}`);
  }
}

/**
 * Those of `files` that the canister has otherwise, or not at all.
 *
 * @param call by query
 * @param lengths as the canister lists them: only files of the right length are read
 * @param stage how the reading is called to whoever waits
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
    // One part that differs is enough.
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
