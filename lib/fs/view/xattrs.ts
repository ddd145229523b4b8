/** Extended attributes, for scripts on the host: `getfattr -n user.icfs.sha256 FILE`. */

import { hexOf } from "../../tree/hash.ts";
import type { Located } from "./inodes.ts";

/** The canister's id, in text. */
export const CANISTER_ATTRIBUTE = "user.icfs.canister";

const VALUES: Record<string, (located: Located, canister: string) => string | undefined> = {
  /** Of the file's bytes, in hexadecimal, from the manifest; without a manifest, once all of the file has been read. */
  "user.icfs.sha256": ({ node: { entry } }) =>
    entry.kind === "file" && entry.sha256 !== undefined ? hexOf(entry.sha256) : undefined,
  /** The number of the release, if releases have numbers. */
  "user.icfs.release": ({ served: { release } }) => release.number?.toString(),
  /** What vouches for the bytes: certified, replicated or node-signature (docs/SEMANTICS.md). */
  "user.icfs.verified": ({ served: { release } }) => release.verified,
  [CANISTER_ATTRIBUTE]: (_, canister) => canister,
  /** When the subnet last certified that release, in ISO 8601. */
  "user.icfs.certified_at": ({ served: { release } }) => release.certifiedAt.toISOString(),
  /**
   * Where a file comes from, in one attribute, for the boot ledger (packaging/dnsmasq-ledger): canister, release, SHA-256 of the release's
   * header (or of the list), SHA-256 of the file, and its path in the tree, percent-encoded. `-` stands for an unknown value.
   */
  "user.icfs.origin": ({ node: { entry }, served: { release } }, canister) =>
    entry.kind === "file"
      ? [
          canister,
          release.number ?? "-",
          hexOf(release.hash),
          entry.sha256 === undefined ? "-" : hexOf(entry.sha256),
          entry.path.split("/").map(encodeURIComponent).join("/"),
        ].join(" ")
      : undefined,
};

/** The names of an inode's attributes. */
export function attributeNames(located: Located): string[] {
  return Object.keys(VALUES).filter((name) => attributeValue(located, name, "") !== undefined);
}

/** The value of an attribute; undefined when there is none of that name. */
export function attributeValue(located: Located, name: string, canister: string): Uint8Array | undefined {
  // Linux has user attributes only on files and directories: nobody could read a symlink's.
  if (located.node.entry.kind === "symlink" || !Object.hasOwn(VALUES, name)) return undefined;
  const value = VALUES[name]!(located, canister);
  return value === undefined ? undefined : Buffer.from(value);
}

/** Names in the form of listxattr(2). */
export function attributeList(names: readonly string[]): Buffer {
  return Buffer.from(names.map((name) => `${name}\0`).join(""));
}
