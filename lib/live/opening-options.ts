/** How a canister is opened, and what is used when the network does not answer. */
import type { DiskStore } from "../cache/disk-store.ts";
import type { Log } from "../log.ts";
import type { Mirrors } from "../source/icfs/mirrors.ts";
import type { SourceKind, Trust } from "../source/source.ts";

export interface OpeningOptions {
  /** The kind of canister; undefined: find out. */
  readonly source: SourceKind | undefined;
  /** How far an icboot canister is trusted. */
  readonly trust: Trust;
  /** Where verified chunks, and the proof of the release, are kept; undefined: in memory only. */
  readonly store: DiskStore | undefined;
  /** Milliseconds before a read fails with EIO. */
  readonly readTimeout: number;
  /** Milliseconds after which a proof is too old to open files; Infinity: never. */
  readonly maxStale: number;
  /** Milliseconds to keep trying while the network does not answer and nothing is kept; 0: do not retry. */
  readonly retry: number;
  /** Called once with the reason when the first retry begins. */
  readonly waiting: ((reason: string) => void) | undefined;
  /** Mirrors that are asked before the network, or instead of it. */
  readonly mirrors: Mirrors | undefined;
  /** Whether the network is never asked. */
  readonly offline: boolean;
  readonly log: Log;
}
