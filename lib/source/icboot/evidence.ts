/** What is kept of a snapshot: its list, and the hashes of its files' parts when they were read. */
import { hexOf } from "../../tree/hash.ts";
import { type KnownChunks, ListedFile } from "../listed-file.ts";
import { sealing, unseal } from "../sealed.ts";
import type { Trust } from "../source.ts";

export interface Evidence {
  readonly trust: Trust;
  /** When the canister listed it. */
  readonly at: Date;
  readonly files: readonly ListedFile[];
}

/** The form on disk: hashes in hexadecimal, null if unknown; times in nanoseconds, as text. */
interface Written {
  readonly trust: Trust;
  readonly at: string;
  readonly files: readonly (readonly [
    path: string,
    size: number,
    modified: string,
    changes: number,
    sha256: string | null,
    chunks: readonly (string | null)[],
  ])[];
}

/** Evidence as bytes, sealed. In steps. @param known the hashes of the files' chunks, as far as they are known */
export function encodingEvidence(
  { trust, at, files }: Evidence,
  known: KnownChunks,
): Generator<void, Buffer> {
  const written = files
    .values()
    .map(({ path, size, modified, changes, sha256, chunks }): Written["files"][number] => [
      path,
      size,
      modified.toString(),
      changes,
      toHex(sha256),
      chunks.map((chunk) => toHex(known.of(chunk).sha256)),
    ]);
  return sealing({ trust, at: at.toISOString() }, "files", written);
}

/** The evidence in sealed bytes. @throws FormatError when they are damaged */
export function decodeEvidence(bytes: Buffer): Evidence {
  const { trust, at, files } = unseal(bytes) as Written;
  return {
    trust,
    at: new Date(at),
    files: files.map(([path, size, modified, changes, sha256, chunks]) => {
      const fields = { path, size, modified: BigInt(modified), changes, sha256: fromHex(sha256) };
      return new ListedFile(fields, chunks.map(fromHex));
    }),
  };
}

function toHex(hash: Uint8Array | undefined): string | null {
  return hash === undefined ? null : hexOf(hash);
}

function fromHex(hex: string | null): Buffer | undefined {
  return hex === null ? undefined : Buffer.from(hex, "hex");
}
