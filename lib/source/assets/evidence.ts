/** What is kept of an asset canister's snapshot: the proof, the list, and what is known about files that have been read. */
import { hexOf } from "../../tree/hash.ts";
import type { KnownChunks, ListedFile } from "../listed-file.ts";
import { sealing, unseal } from "../sealed.ts";
import type { Verification } from "../source.ts";
import type { AssetFile, AssetsSnapshot } from "./snapshot.ts";
import type { WholeFile } from "./whole-file.ts";

/** The form on disk: hashes in hexadecimal, other bytes in base64; times in nanoseconds, as text. */
interface Written {
  readonly at: string;
  readonly verified: Verification;
  readonly proof: { readonly certificate: string; readonly tree: string } | null;
  readonly files: readonly {
    readonly path: string;
    readonly key: string;
    readonly encoding: string;
    readonly sha256: string;
    readonly size: number;
    readonly modified: string;
    readonly whole: {
      readonly size: number;
      readonly sha256: string;
      readonly chunks: readonly string[];
    } | null;
  }[];
}

/**
 * A snapshot as bytes, sealed. In steps.
 *
 * @param fileOf the file that an asset has become, if it is known
 * @param known the hashes of the files' chunks, as far as they are known
 */
export function encodingEvidence(
  { certifiedAt, verified, proof, files }: AssetsSnapshot,
  fileOf: (file: AssetFile) => ListedFile | undefined,
  known: KnownChunks,
): Generator<void, Buffer> {
  const fields: Omit<Written, "files"> = {
    at: certifiedAt.toISOString(),
    verified,
    proof: proof === undefined ? null : { certificate: base64(proof.certificate), tree: base64(proof.tree) },
  };
  const written = files.values().map((file): Written["files"][number] => ({
    ...file,
    sha256: hexOf(file.sha256),
    modified: file.modified.toString(),
    whole: wholeOf(fileOf(file), known),
  }));
  return sealing({ ...fields }, "files", written);
}

/** What is known of a file that was read whole; null until all of its chunks have hashes. */
function wholeOf(file: ListedFile | undefined, known: KnownChunks): Written["files"][number]["whole"] {
  if (file?.sha256 === undefined) return null;
  const chunks = file.chunks.map((chunk) => known.of(chunk).sha256);
  if (!chunks.every((hash) => hash !== undefined)) return null;
  return { size: file.size, sha256: hexOf(file.sha256), chunks: chunks.map(hexOf) };
}

/** The snapshot in sealed bytes, and what is known of its files. The proof is not verified. @throws FormatError when they are damaged */
export function decodeEvidence(bytes: Buffer): {
  snapshot: Omit<AssetsSnapshot, "hash">;
  learned: [file: AssetFile, whole: WholeFile][];
} {
  const written = unseal(bytes) as Written;
  const { at, verified, proof } = written;
  const learned: [AssetFile, WholeFile][] = [];
  const files = written.files.map(({ path, key, encoding, sha256, size, modified, whole }) => {
    const file = { path, key, encoding, sha256: fromHex(sha256), size, modified: BigInt(modified) };
    if (whole !== null) {
      const { size, sha256, chunks } = whole;
      learned.push([file, { size, sha256: fromHex(sha256), chunks: chunks.map(fromHex) }]);
    }
    return file;
  });
  const kept = proof && {
    certificate: Buffer.from(proof.certificate, "base64"),
    tree: Buffer.from(proof.tree, "base64"),
  };
  const snapshot = {
    number: undefined,
    certifiedAt: new Date(at),
    verified,
    files,
    proof: kept ?? undefined,
  };
  return { snapshot, learned };
}

function base64(bytes: Buffer): string {
  return bytes.toString("base64");
}

function fromHex(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}
