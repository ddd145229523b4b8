/** A reader that asks nobody: it has what was kept on this host, and nothing else. */
import { UserError } from "../errors.ts";
import type { ReleaseReader } from "./icfs/release-reader.ts";
import type { Pieces } from "./source.ts";

/** What is not kept on this host cannot be had. */
export class OfflineError extends UserError {}

/** @param reader knows what was kept when it sees it */
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
