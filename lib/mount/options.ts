/** The options of a mount. Their defaults are in lib/cli/mount-options.ts. */
import type { ListenAddress } from "../bounded-server.ts";
import type { MountOptions } from "../fs/mounting/fuse-options.ts";
import type { MountTransport } from "../fs/transport.ts";
import type { OpeningOptions } from "../live/opening-options.ts";
import type { AccessLog } from "../serve/access-log.ts";

export type Prefetch = "all" | "boot" | "none";

export interface CanisterMountOptions extends OpeningOptions {
  readonly mountpoint: string;
  readonly mount: MountOptions;
  /** Each channel of the canister is a directory. */
  readonly allChannels: boolean;
  /** Whether extended attributes are listed, or only readable by name. */
  readonly listXattrs: boolean;
  readonly transport: MountTransport;
  /** Bytes of memory for verified chunks. */
  readonly memory: number;
  /** Milliseconds between two checks of the canister; 0: only on SIGHUP. */
  readonly refresh: number;
  /** Milliseconds without an open file before a new release goes live; 0: none. */
  readonly quiet: number;
  /** Milliseconds after which a new release goes live even without quiet. */
  readonly switchWithin: number;
  /** What is fetched in advance: everything, what boot configurations name, or nothing. */
  readonly prefetch: Prefetch;
  /** What the mount command waits for. */
  readonly ready: "verified" | "hydrated";
  /** Milliseconds that opening a file may take while all of it is fetched; undefined: files open at once. */
  readonly openWhole: number | undefined;
  /** Where to write the counters on SIGUSR1 and at the end. */
  readonly statsFile: string | undefined;
  /** Where to serve metrics; undefined: nowhere. */
  readonly metrics: ListenAddress | undefined;
  /** Where to serve others by HTTP; undefined: nowhere. */
  readonly serve: ListenAddress | undefined;
  /** Where requests by HTTP are logged; undefined: nowhere. */
  readonly accessLog: AccessLog | undefined;
  /** The socket of a service manager to notify of the mount's state (lib/live/report/systemd.ts); undefined: none. */
  readonly notifySocket: string | undefined;
}
