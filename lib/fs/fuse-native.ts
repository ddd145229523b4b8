/**
 * The transport over the npm package fuse-native (libfuse 2): mounts a FileSystem and answers the kernel's requests
 * from it.
 *
 * The process that serves a mount must never touch it with a blocking call: it would wait for itself for ever.
 */

import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Reply } from "fuse-native";
import { messageOf, UserError } from "../errors.ts";
import type { Log } from "../log.ts";
import { checkHost, loadFuseNative } from "./host.ts";
import { fuseArgument } from "./mount-options.ts";
import { isMounted, MOUNT_TYPE, type Mount, mountAt, readMounts } from "./mountinfo.ts";
import { prepareMountpoint } from "./mountpoint.ts";
import { createOperations, type Operations } from "./operations.ts";
import type { EndReason, MountedTransport, MountRequest } from "./transport.ts";
import { detach } from "./unmount.ts";

// How often to look whether somebody else has unmounted: the process should end within a second or two.
const WATCH_INTERVAL_MS = 500;
// How long open files may hold up an unmount that was asked for: most TFTP transfers are over by then.
const GRACE_MS = 1500;
const GRACE_STEP_MS = 50;

// How far the kernel reads ahead of a sequential reader: one chunk. Requests are 128 KiB at most, so it sends eight at
// a time; with its default of one a file came through a seventh as fast (288 MB/s against 2 GB/s; with 20 ms for each
// request, 12 against 88).
const READ_AHEAD_KIB = 1024;

type FuseClass = typeof import("fuse-native").default;

/**
 * Mounts `fileSystem`. Resolves when readers can use it.
 *
 * @throws UserError when the host lacks something or the mountpoint does not suit
 */
export async function mountFuseNative({
  fileSystem,
  mountpoint,
  options,
  log,
}: MountRequest): Promise<MountedTransport> {
  await checkHost(options.allowOther);
  const Fuse = await loadFuseNative();
  const { path, entries } = await prepareMountpoint(mountpoint, log);
  const operations = createOperations({ fileSystem, options, log });
  const before = await readMounts();
  try {
    await start(Fuse, path, fuseArgument(options, entries > 0), operations);
  } catch (error) {
    // libfuse mounts first and looks at the rest afterwards: leave nothing behind that nobody serves.
    const left = mountAt(await readMounts(), path);
    if (left?.type === MOUNT_TYPE && !isMounted(before, left)) await detach(path, true);
    if (error instanceof UserError) throw error;
    // All that fuse-native knows is "fuse failed".
    const reason = `${messageOf(error)}; libfuse has said why on stderr or in the log`;
    throw new UserError(`cannot mount at ${mountpoint}: ${reason}`, { cause: error });
  }
  const mount = mountAt(await readMounts(), path);
  if (mount?.type !== MOUNT_TYPE) throw new UserError(`${mountpoint} was unmounted at once by somebody else`);
  await setReadAhead(mount, log);
  return serve(mount, operations, log);
}

// libfuse can only ask for less than the kernel's default. Not vital: users other than root may not, nor may containers.
async function setReadAhead(mount: Mount, log: Log): Promise<void> {
  try {
    await writeFile(`/sys/class/bdi/${mount.device}/read_ahead_kb`, String(READ_AHEAD_KIB));
  } catch (error) {
    log.debug(`the kernel's read-ahead stays as it is: ${error}`);
  }
}

function start(Fuse: FuseClass, path: string, argument: string, operations: Operations): Promise<void> {
  class Transport extends Fuse {
    protected override _fuseOptions(): string {
      return argument;
    }

    // The package's own versions answer EIO where a value does not fit.
    protected override _op_getxattr(reply: Reply, path: string, name: string, value: Buffer): void {
      operations.getxattr(path, name, value, (result) => reply(result, value.buffer));
    }

    protected override _op_listxattr(reply: Reply, path: string, list: Buffer): void {
      operations.listxattr(path, list, (result) => reply(result, list.buffer));
    }
  }
  // No time-outs of the package's own: metadata is answered within the call, and reads have the file system's deadline.
  const transport = new Transport(path, operations.handlers, { timeout: false });
  return new Promise((resolve, reject) => {
    transport.mount((error) => (error ? reject(error) : resolve()));
  });
}

function serve(mount: Mount, operations: Operations, log: Log): MountedTransport {
  const { promise: ended, resolve: end } = Promise.withResolvers<EndReason>();
  let asked = false;

  // libfuse does not say when its mount is gone.
  const watch = async () => {
    do {
      await sleep(WATCH_INTERVAL_MS);
      // Looked at twice: a table that changes while it is being read can come with a line missing.
    } while (isMounted(await readMounts(), mount) || isMounted(await readMounts(), mount));
    if (asked) return;
    const open = operations.openFiles();
    if (open > 0) log.warn(`${mount.mountpoint} was lazily unmounted; ${open} open files are still served`);
    while (operations.openFiles() > 0 && !asked) await sleep(WATCH_INTERVAL_MS);
    if (!asked) end("unmounted from outside");
  };
  watch().catch((error) => log.error(`cannot watch the mount: ${error}`));

  const unmount = async () => {
    asked = true;
    // By now something else may be mounted here: ours was lazily unmounted, or lies below. That is not ours to take away.
    const isOurs = (mounts: readonly Mount[]) => mountAt(mounts, mount.mountpoint)?.id === mount.id;
    if (isOurs(await readMounts())) {
      try {
        await detach(mount.mountpoint, true);
      } catch (error) {
        // Somebody else may have been quicker.
        if (isMounted(await readMounts(), mount)) throw error;
      }
    } else {
      log.warn(`${mount.mountpoint}: something else is mounted here now, and stays`);
    }
    for (let waited = 0; waited < GRACE_MS && operations.openFiles() > 0; waited += GRACE_STEP_MS) {
      await sleep(GRACE_STEP_MS);
    }
    operations.failReads();
    // Replies leave in a later turn of the event loop; the process must not exit before.
    await sleep(GRACE_STEP_MS);
    end("unmounted");
  };

  return {
    mount,
    ended,
    unmount,
    openFiles: () => operations.openFiles(),
    // Nothing to tell libfuse: it caches no names, and operations.ts keeps a path in use at its old version.
    switchTo: async (swap) => swap(),
  };
}
