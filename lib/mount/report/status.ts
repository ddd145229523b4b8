/** What can be asked of a live mount, as `icfs status --json` prints it. */
import type { CacheStatistics } from "../../cache/chunk-cache.ts";
import type { DiskStatistics } from "../../cache/disk-store.ts";
import type { ReaderStatistics } from "../../fs/view/tree-filesystem.ts";
import type { ReleaseNames } from "../../source/words.ts";
import type { Hydration } from "../hydrate.ts";
import type { MountDescription } from "../mount.ts";

export interface MountStatus extends MountDescription {
  readonly pid: number;
  /** Seconds since the release, or one that follows it, was certified. */
  readonly proofAge: number;
  /** When the network was last asked with success; not there: not since the mount. */
  readonly checkedAt?: string;
  /** Why it could not be asked the last time. */
  readonly problem?: string;
  /** All of the release can be read without the network. */
  readonly hydrated: boolean;
  readonly hydration?: Hydration;
  /** A release that is not live yet. */
  readonly next?: ReleaseNames & { readonly state: string; readonly hydration?: Hydration };
  readonly openFiles: number;
  readonly readers: ReaderStatistics;
  readonly cache: CacheStatistics & {
    /** Bytes in memory, and at most. */
    readonly memoryUsed: number;
    readonly memory: number;
    /** Chunks on their way. */
    readonly underWay: number;
    /** Since when cold reads fail at once; not there: they do not. */
    readonly failingSince?: string;
  };
  readonly disk?: DiskStatistics & {
    readonly directory: string;
    /** Bytes at most. */
    readonly capacity: number;
    /** Why nothing can be written. */
    readonly problem?: string;
  };
  /** The last error a reader got. */
  readonly lastError?: { readonly at: string; readonly message: string };
}
