/** A canister's assets at one moment, as files, and what vouches for each: SHA-256 of its content in one encoding. */
import { createHash } from "node:crypto";
import { hexOf } from "../../tree/hash.ts";
import { hashingList } from "../list-hash.ts";
import { choosing, type LeftOut, type Listed } from "../listed-tree.ts";
import type { Release } from "../source.ts";
import type { Content, Encoding, ListedAsset } from "./asset-canister.ts";
import { canDecode } from "./whole-file.ts";

/** An asset that becomes a file. */
export interface AssetFile extends Content, Listed {
  /** Bytes, encoded; for the file only an estimate, unless the encoding is identity. */
  readonly size: number;
  readonly modified: bigint;
}

export interface AssetsSnapshot extends Release {
  readonly number: undefined;
  /** Sorted by path. */
  readonly files: readonly AssetFile[];
  /** The reply of certified_tree, unless the list is by consensus. */
  readonly proof: { readonly certificate: Buffer; readonly tree: Buffer } | undefined;
}

/** Assets between two pauses: about a millisecond. */
const ASSETS_PER_STEP = 500;
const HASH_OF_NOTHING = createHash("sha256").digest();

/** The canister certifies one encoding of an asset: the first in this order. */
const CERTIFIED_FIRST = ["identity", "gzip", "compress", "deflate", "br"];

/** An asset's key as its label in the tree. */
export function labelOf(key: string): string {
  return key.startsWith("/") ? key : `/${key}`;
}

/** Whether length and hash can both be right. An empty file is never read, so a wrong length would not be noticed. */
export function isPossible({ length, sha256 }: Encoding): boolean {
  return sha256 !== undefined && (length === 0) === sha256.equals(HASH_OF_NOTHING);
}

/** The encoding that the canister certifies; undefined when the asset has no content. */
export function certifiedEncoding({ encodings }: ListedAsset): Encoding | undefined {
  const rank = ({ name }: Encoding) => (CERTIFIED_FIRST.indexOf(name) + 6) % 6;
  return [...encodings].sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1))[0];
}

/**
 * The files of assets, sorted by path. In steps. An asset `/dir/` is what a web server shows for a directory: it becomes
 * `/dir/index.html`, unless there is one.
 */
export function* filesOf(
  assets: readonly ListedAsset[],
  leftOut: LeftOut,
): Generator<void, readonly AssetFile[]> {
  const keys = new Set(assets.map(({ key }) => labelOf(key)));
  const files: AssetFile[] = [];
  for (const [i, asset] of assets.entries()) {
    if (i % ASSETS_PER_STEP === 0) yield;
    const { key } = asset;
    const encoding = certifiedEncoding(asset);
    // Created, and not filled yet.
    if (encoding === undefined) continue;
    const { name, length: size, modified } = encoding;
    const sha256 = isPossible(encoding) ? encoding.sha256 : undefined;
    const label = labelOf(key);
    const shown = label.endsWith("/") ? `${label}index.html` : label;
    if (sha256 === undefined) leftOut.say(key, "its length and its hash are not of one content");
    else if (!canDecode(name)) leftOut.say(key, `icfs cannot decode ${name}`);
    else if (shown === label || !keys.has(shown)) {
      files.push({ key, encoding: name, sha256, size, modified, path: shown.slice(1) });
    } else leftOut.say(key, `${shown} is there as well`);
  }
  return yield* choosing(files, leftOut);
}

/** A snapshot's hash. In steps. */
export function hashingFiles(files: readonly AssetFile[]): Generator<void, Buffer> {
  return hashingList(
    files
      .values()
      .map(
        ({ path, key, encoding, sha256, size }) =>
          `${path}\0${key}\0${encoding}\0${hexOf(sha256)}\0${size}\n`,
      ),
  );
}
