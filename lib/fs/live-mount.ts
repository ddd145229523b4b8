/** A live mount over either transport: how far the kernel reads ahead, how its end is noticed, and how it is ended. */

import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { KERNEL_READAHEAD_KIB } from "../readahead.ts";
import {
  isMounted,
  isMountedThere,
  type Mount,
  mountAt,
  mountsInside,
  namesOfMounts,
  readMounts,
} from "./mounting/mountinfo.ts";
import { detach } from "./mounting/unmount.ts";
import type { EndReason, MountedTransport } from "./transport.ts";

/** What a transport implements itself. */
export interface Served {
  openFiles(): number;
  /** Answers EIO to every read that is still waiting, and to every later one. */
  failReads(): void;
  /** Resolves when the kernel has cut the connection: the mount is gone, and nobody has a file open. */
  readonly disconnected: Promise<void> | undefined;
  readonly switchTo: MountedTransport["switchTo"];
}

// How often to check whether somebody else has unmounted: the process should end within a second or two.
const WATCH_INTERVAL_MS = 500;
// How long open files may delay a requested unmount: most TFTP transfers are over by then.
const GRACE_MS = 1500;
const GRACE_STEP_MS = 50;

/** Sets how far the kernel reads ahead on this mount. Without that, the mount works too: only root can do it, and containers cannot. */
export async function setReadAhead(mount: Mount, log: Log): Promise<void> {
  try {
    await writeFile(`/sys/class/bdi/${mount.device}/read_ahead_kb`, String(KERNEL_READAHEAD_KIB));
  } catch (error) {
    log.debug(`the kernel's read-ahead stays as it is: ${error}`);
  }
}

/** What a transport returns once it is mounted. */
export function liveMount(mount: Mount, log: Log, served: Served): MountedTransport {
  const { promise: ended, resolve: end } = Promise.withResolvers<EndReason>();
  let asked = false;
  // Something else may be mounted here by now: ours was lazily unmounted, or is below.
  const isOurs = (mounts: readonly Mount[]) => {
    const top = mountAt(mounts, mount.mountpoint);
    return top !== undefined && isMounted([top], mount);
  };

  const isThere = () =>
    readMounts().then(
      (mounts) => isMounted(mounts, mount),
      (error) => {
        log.debug(`cannot tell whether ${mount.mountpoint} is still mounted: ${messageOf(error)}`);
        return true;
      },
    );
  const watch = async () => {
    do {
      await sleep(WATCH_INTERVAL_MS);
      // Read twice: if the table changes while it is read, a line may be missing.
    } while ((await isThere()) || (await isThere()));
    if (asked) return;
    const open = served.openFiles();
    if (open > 0) log.warn(`${mount.mountpoint} was lazily unmounted; ${open} open files are still served`);
    while (served.openFiles() > 0 && !asked) await sleep(WATCH_INTERVAL_MS);
    if (!asked) end("unmounted from outside");
  };
  watch().catch((error) => log.error(`cannot watch the mount: ${error}`));
  served.disconnected?.then(async () => {
    if (asked) return;
    // An administrator can cut a mount off without taking it away: nobody serves what is left.
    if (isOurs(await readMounts())) {
      log.warn(`${mount.mountpoint} was cut off; removing it`);
      await detach(mount.mountpoint, true).catch((error) => log.error(messageOf(error)));
    }
    end("unmounted from outside");
  });

  const unmount = async () => {
    asked = true;
    const mounts = await readMounts();
    if (isOurs(mounts)) {
      const inside = mountsInside(mounts, mount);
      if (inside.length > 0) log.warn(`what is mounted inside is unmounted too: ${namesOfMounts(inside)}`);
      try {
        await detach(mount.mountpoint, true);
      } catch (error) {
        // Somebody else may have unmounted it already.
        if (isMountedThere(await readMounts(), mount)) throw error;
      }
    } else {
      log.warn(`${mount.mountpoint}: something else is mounted here now, and stays`);
    }
    for (let waited = 0; waited < GRACE_MS && served.openFiles() > 0; waited += GRACE_STEP_MS) {
      await sleep(GRACE_STEP_MS);
    }
    served.failReads();
    // Replies leave in a later turn of the event loop; the process must not exit before.
    await sleep(GRACE_STEP_MS);
    end("unmounted");
  };

  return { mount, ended, unmount, openFiles: () => served.openFiles(), switchTo: served.switchTo };
}
