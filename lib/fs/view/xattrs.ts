/** Extended attributes: what a script on the host can ask about a file, `getfattr -n user.icfs.sha256 FILE`. */

import { hexOf } from "../../tree/hash.ts";
import type { Located } from "./inodes.ts";

const VALUES: Record<string, (located: Located, canister: string) => string | undefined> = {
  /** Of the file's bytes, in hexadecimal, as the manifest has it; where there is none, once all of the file has been read. */
  "user.icfs.sha256": ({ node: { entry } }) =>
    entry.kind === "file" && entry.sha256 !== undefined ? hexOf(entry.sha256) : undefined,
  /** The number of the release that this is from, where releases have numbers. */
  "user.icfs.release": ({ served: { release } }) => release.number?.toString(),
  /** What vouches for the bytes: certified, replicated or node-signature (docs/SEMANTICS.md). */
  "user.icfs.verified": ({ served: { release } }) => release.verified,
  "user.icfs.canister": (_, canister) => canister,
  /** When the subnet last certified that release, in ISO 8601. */
  "user.icfs.certified_at": ({ served: { release } }) => release.certifiedAt.toISOString(),
  /**
   * Of a file, all at once, for the boot ledger (packaging/dnsmasq-ledger): canister, release, SHA-256 of the release's header (or of what is
   * listed), SHA-256 of the file, and its path in the tree, percent-encoded. What is not known is `-`.
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

/** The names of those that an inode has. */
export function attributeNames(located: Located): string[] {
  return Object.keys(VALUES).filter((name) => attributeValue(located, name, "") !== undefined);
}

/** The value of one; undefined when there is none of that name. */
export function attributeValue(located: Located, name: string, canister: string): Uint8Array | undefined {
  // Linux has user attributes on files and directories only: nobody could read what a symlink is said to have.
  if (located.node.entry.kind === "symlink" || !Object.hasOwn(VALUES, name)) return undefined;
  const value = VALUES[name]!(located, canister);
  return value === undefined ? undefined : Buffer.from(value);
}

/** Names as listxattr(2) has them. */
export function attributeList(names: readonly string[]): Buffer {
  return Buffer.from(names.map((name) => `${name}\0`).join(""));
}
