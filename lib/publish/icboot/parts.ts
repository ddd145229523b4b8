/** The parts in which a file is sent to the canister, and read back. */
import { messageOf, UserError } from "../../errors.ts";
import { readAt } from "../file-bytes.ts";
import { ChangedError, withFile } from "../seen.ts";
import type { PlainFile } from "./plain-files.ts";

/** Whole sectors, and well below the IC's limit of 2 MiB for a message. */
const PART_BYTES = 1024 * 1024;

export interface Part {
  readonly file: PlainFile;
  /** In the file, in bytes: a multiple of 512. */
  readonly offset: number;
  /** Bytes: a multiple of 512, except in the last part. */
  readonly size: number;
}

/** In ascending order; an empty file has none. */
export function partsOf(file: PlainFile): Part[] {
  return Array.from({ length: Math.ceil(file.size / PART_BYTES) }, (_, i) => {
    const offset = i * PART_BYTES;
    return { file, offset, size: Math.min(PART_BYTES, file.size - offset) };
  });
}

/** @throws UserError when the file cannot be read, or has changed */
export async function readPart({ file, offset, size }: Part): Promise<Buffer> {
  try {
    return await withFile(file, async (handle) => {
      const bytes = await readAt(handle, offset, Buffer.allocUnsafe(size));
      if (bytes.length !== size) throw new ChangedError("it is shorter than it was");
      return bytes;
    });
  } catch (error) {
    throw new UserError(
      error instanceof ChangedError
        ? `a file changed while it was being published (${file.path}: ${error.message}): publish again`
        : `cannot read ${file.path}: ${messageOf(error)}`,
    );
  }
}
