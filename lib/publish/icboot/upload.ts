/**
 * Sends files to the original's canister: the parts of a file one after another in ascending order, then its length, since each
 * part overwrites the beginning of the next (icboot-updates.ts). Several files are sent at a time.
 *
 * A call without an answer is repeated, which is harmless unless the first is executed late, after that of the next part. So
 * everything is read back after it has been sent.
 */
import pLimit from "p-limit";
import { messageOf, UserError } from "../../errors.ts";
import { Lane, MOST_CALLS } from "../lane.ts";
import type { IcbootWriter } from "./icboot-updates.ts";
import { partsOf, readPart } from "./parts.ts";
import type { PlainFile } from "./plain-files.ts";

/**
 * @param uploaded called with the number of bytes that have arrived, from time to time
 * @throws UserError
 */
export async function uploadFiles(
  canister: IcbootWriter,
  files: readonly PlainFile[],
  uploaded: (bytes: number) => void,
): Promise<void> {
  const lane = new Lane();
  // Only one call of each file is under way.
  const limit = pLimit(MOST_CALLS);
  const send = async (file: PlainFile) => {
    const { path, size } = file;
    try {
      for (const part of partsOf(file)) {
        await lane.send(async () => canister.put(path, part.offset, await readPart(part)), part.size);
        uploaded(part.size);
      }
      await lane.send(() => canister.setlen(path, size), 0);
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new UserError(`the canister did not take ${path}: ${messageOf(error)}`);
    }
  };
  try {
    await Promise.all(files.map((file) => limit(send, file)));
  } finally {
    limit.clearQueue();
    lane.end();
  }
}
