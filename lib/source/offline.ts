/** A reader that asks nobody: it has only what was kept on this host. */
import { UserError } from "../errors.ts";
import type { ReleaseReader } from "./icfs/release-reader.ts";
import type { Pieces } from "./source.ts";

/** Something is not kept on this host, and may not be fetched. */
export class OfflineError extends UserError {}

/** A reader that throws OfflineError for all that is not kept. @param reader verifies what was kept */
export function offlineReader(reader: ReleaseReader): ReleaseReader {
  return {
    head: refuse,
    restore: (proof) => reader.restore(proof),
    headers: refuse,
    manifest: (header, pieces) => reader.manifest(header, pieces && keptAlone(pieces)),
    chunk: refuse,
  };
}

function keptAlone(pieces: Pieces): Pieces {
  return {
    read: async (sha256) => (await pieces.read(sha256)) ?? refuse(),
    write: (sha256, bytes) => pieces.write(sha256, bytes),
  };
}

/** @throws OfflineError */
export async function refuse(): Promise<never> {
  throw new OfflineError("it is not kept on this host, and --offline asks nobody");
}
