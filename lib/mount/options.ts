/** What a mount is told to do; lib/cli/mount-options.ts has the defaults. */
import type { ListenAddress } from "../bounded-server.ts";
import type { DiskStore } from "../cache/disk-store.ts";
import type { MountOptions } from "../fs/mounting/fuse-options.ts";
import type { MountTransport } from "../fs/transport.ts";
import type { Log } from "../log.ts";
import type { Mirrors } from "../source/icfs/mirrors.ts";
import type { SourceKind, Trust } from "../source/source.ts";

export type Prefetch = "all" | "boot" | "none";

export interface CanisterMountOptions {
  readonly mountpoint: string;
  readonly mount: MountOptions;
  /** What kind of canister it is; undefined: find out. */
  readonly source: SourceKind | undefined;
  /** Whether extended attributes are listed, not only answered. */
  readonly listXattrs: boolean;
  /** How an icboot canister is read. */
  readonly trust: Trust;
  readonly transport: MountTransport;
  /** Bytes of memory for verified chunks. */
  readonly memory: number;
  /** Where verified chunks are kept, and what proves the release; undefined: in memory only. */
  readonly store: DiskStore | undefined;
  /** Milliseconds until a read gives up with EIO. */
  readonly readTimeout: number;
  /** Milliseconds between two looks at the canister; 0: only on SIGHUP. */
  readonly refresh: number;
  /** Milliseconds without an open file before a new release goes live; 0: none. */
  readonly quiet: number;
  /** Milliseconds after which it does so all the same. */
  readonly switchWithin: number;
  /** Milliseconds after which a proof is too old to open files by; Infinity: never. */
  readonly maxStale: number;
  /** What is fetched before it is asked for: everything, what boot configurations name, or nothing. */
  readonly prefetch: Prefetch;
  /** What the mount command waits for. */
  readonly ready: "verified" | "hydrated";
  /** Milliseconds that opening a file may take, to have all of it first; undefined: it takes none. */
  readonly openWhole: number | undefined;
  /** Milliseconds for which the mount goes on trying while the network does not answer, and nothing is kept; 0: no time. */
  readonly retry: number;
  /** Told once why the mount waits, when it goes on trying; undefined: nobody is. */
  readonly waiting: ((reason: string) => void) | undefined;
  /** Asked before the network, or in its place. */
  readonly mirrors: Mirrors | undefined;
  /** Never asks the network. */
  readonly offline: boolean;
  /** Where to write the counters on SIGUSR1 and at the end. */
  readonly statsFile: string | undefined;
  /** Where to serve metrics; undefined: nowhere. */
  readonly metrics: ListenAddress | undefined;
  /** Where to serve others by HTTP; undefined: nowhere. */
  readonly serve: ListenAddress | undefined;
  /** Where a service manager listens that is to know how the mount does (lib/mount/report/systemd.ts); undefined: nowhere. */
  readonly notifySocket: string | undefined;
  readonly log: Log;
}
