/** What the two transports (kernel, fuse-native) have in common: their parameters, and what a live mount can do. */

import type { Log } from "../log.ts";
import type { MountOptions } from "./mounting/fuse-options.ts";
import type { Mount } from "./mounting/mountinfo.ts";
import type { Mountpoint } from "./mounting/mountpoint.ts";
import type { FileSystem } from "./view/filesystem.ts";

export interface MountRequest {
  readonly fileSystem: FileSystem;
  readonly mountpoint: Mountpoint;
  readonly options: MountOptions;
  readonly log: Log;
}

/** How a mount ended: by `unmount()`, or by somebody else's umount command. */
export type EndReason = "unmounted" | "unmounted from outside";

export interface MountedTransport {
  /** As the kernel lists it; its mountpoint is absolute and without symlinks. */
  readonly mount: Mount;
  /** Resolves when the mount is gone and no reader is left. Then the process can only exit. */
  readonly ended: Promise<EndReason>;
  /**
   * Unmounts at once, gives open files a moment to be read to their end, then answers pending reads with EIO.
   * Resolves when `ended` does. @throws UserError when it could not be unmounted
   */
  unmount(): Promise<void>;
  /** How many files readers hold open. */
  openFiles(): number;
  /**
   * Changes the meaning of names: calls `swap`, which changes the file system's answers, at the moment from which
   * no reader can open the old meaning of a name (as far as the transport can do that).
   */
  switchTo(swap: () => void): Promise<void>;
}

/** Mounts. Resolves when readers can use it. @throws UserError when the host lacks something, or the mountpoint was taken meanwhile */
export type MountTransport = (request: MountRequest) => Promise<MountedTransport>;
