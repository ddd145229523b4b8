/**
 * What differs between two trees. "The same" means the same paths, kinds, bytes (by SHA-256), executable bits and
 * symlink targets; times do not count.
 */
import { oneLine } from "../log.ts";
import { comparePaths } from "./manifest.ts";

/** The part of an entry that is compared; a manifest's entries have it. */
export type Comparable =
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "symlink"; readonly path: string; readonly target: string }
  | {
      readonly kind: "file";
      readonly path: string;
      readonly size: number;
      /** Undefined when the file could not be read. */
      readonly sha256: Uint8Array | undefined;
      readonly executable: boolean;
    };

export interface Difference {
  readonly path: string;
  /** The kind of the entry: the new one or, if it was removed, the old one. */
  readonly kind: Comparable["kind"];
}

export interface Change extends Difference {
  /** In words: "bytes", "executable bit", "target", or the previous kind. */
  readonly what: string;
}

/** Each sorted by path. */
export interface Differences {
  readonly added: readonly Difference[];
  readonly changed: readonly Change[];
  readonly removed: readonly Difference[];
}

/** What has to happen to `before` to make it `after`. Both are sorted as manifests are. */
export function differences(before: readonly Comparable[], after: readonly Comparable[]): Differences {
  const added: Difference[] = [];
  const changed: Change[] = [];
  const removed: Difference[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const old = before[i];
    const now = after[j];
    const order = old === undefined ? 1 : now === undefined ? -1 : comparePaths(old.path, now.path);
    if (order < 0) {
      removed.push({ path: old!.path, kind: old!.kind });
      i += 1;
    } else if (order > 0) {
      added.push({ path: now!.path, kind: now!.kind });
      j += 1;
    } else {
      const what = change(old!, now!);
      if (what !== undefined) changed.push({ path: now!.path, kind: now!.kind, what });
      i += 1;
      j += 1;
    }
  }
  return { added, changed, removed };
}

/** Whether the trees are the same. */
export function areNone({ added, changed, removed }: Differences): boolean {
  return added.length + changed.length + removed.length === 0;
}

/** One line for each, by path: sign, kind, path, and what has changed. */
export function differenceLines({ added, changed, removed }: Differences): string[] {
  const lines = [
    ...added.map((difference) => ({ ...difference, sign: "added", what: "" })),
    ...changed.map((difference) => ({ ...difference, sign: "changed", what: ` (${difference.what})` })),
    ...removed.map((difference) => ({ ...difference, sign: "removed", what: "" })),
  ];
  return lines
    .sort((a, b) => comparePaths(a.path, b.path))
    .map(({ sign, kind, path, what }) => `${sign.padEnd(7)} ${kind.padEnd(9)} ${oneLine(path)}${what}`);
}

/** What has changed between two entries of one path, if anything has. */
function change(old: Comparable, now: Comparable): string | undefined {
  if (old.kind === "symlink" && now.kind === "symlink") {
    return old.target === now.target ? undefined : "target";
  }
  if (old.kind === "file" && now.kind === "file") {
    const what: string[] = [];
    if (old.size !== now.size || !isSameHash(old.sha256, now.sha256)) what.push("bytes");
    if (old.executable !== now.executable) what.push("executable bit");
    return what.length === 0 ? undefined : what.join(", ");
  }
  return old.kind === now.kind ? undefined : `was a ${old.kind}`;
}

/** Unreadable files count as the same, since their reader has reported them already. */
function isSameHash(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined || Buffer.compare(a, b) === 0;
}
