/** The entries of a tree that is to be published, as known before it is read. */
import type { InMemory, SeenFile } from "./seen.ts";

interface ScannedBase {
  /** Relative to the directory, with `/`. */
  readonly path: string;
  /** Nanoseconds since 1970. */
  readonly modified: bigint;
}

export type ScannedFile = ScannedBase & {
  readonly kind: "file";
  /** Bytes, when it was scanned. */
  readonly size: number;
  readonly executable: boolean;
} & (SeenFile | MadeContent);

interface ScannedLink extends ScannedBase {
  readonly kind: "symlink";
  readonly target: string;
}

export type Scanned = ScannedFile | ScannedLink | (ScannedBase & { readonly kind: "directory" });

/** The template and the machine that a file was generated for. */
export interface MadeFor {
  /** The machine's name. */
  readonly machine: string;
  readonly template: string;
}

/** The content of a generated file. */
export interface MadeContent extends InMemory {
  readonly made: MadeFor & {
    /** Its position among all generated files. */
    readonly order: number;
  };
}

/** Whether an entry was generated. */
export function isMade(entry: Scanned): entry is ScannedFile & MadeContent {
  return entry.kind === "file" && "made" in entry;
}
