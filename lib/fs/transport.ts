/** What the two transports (kernel, fuse-native) have in common: what they are given, and what a live mount can do. */

import type { Log } from "../log.ts";
import type { MountOptions } from "./mounting/fuse-options.ts";
import type { Mount } from "./mounting/mountinfo.ts";
import type { FileSystem } from "./view/filesystem.ts";

export interface MountRequest {
  readonly fileSystem: FileSystem;
  readonly mountpoint: string;
  readonly options: MountOptions;
  readonly log: Log;
}

/** How a mount ended: by `unmount()`, or by somebody else's umount command. */
export type EndReason = "unmounted" | "unmounted from outside";

export interface MountedTransport {
  /** As the kernel lists it; its mountpoint is absolute and without symlinks. */
  readonly mount: Mount;
  /** Resolves when the mount is gone and no reader is left. Nothing else is left to do then but to exit. */
  readonly ended: Promise<EndReason>;
  /**
   * Takes the mount away at once, gives files that are open a moment to be read to their end, then answers EIO to
   * what is still pending. Resolves when `ended` does. @throws UserError when it could not be unmounted
   */
  unmount(): Promise<void>;
  /** How many files readers hold open. */
  openFiles(): number;
  /**
   * Makes names mean something else: calls `swap`, which changes what the file system answers, at the moment from which
   * no reader can open what a name meant before (as far as the transport can do that).
   */
  switchTo(swap: () => void): Promise<void>;
}

/** Mounts. Resolves when readers can use it. @throws UserError when the host lacks something or the mountpoint does not suit */
export type MountTransport = (request: MountRequest) => Promise<MountedTransport>;
