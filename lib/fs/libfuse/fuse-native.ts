/**
 * The transport over the npm package fuse-native (libfuse 2): mounts a FileSystem and answers the kernel's requests
 * from it.
 *
 * The process that serves a mount must never touch it with a blocking call: it would wait for itself for ever.
 */

import { readdir, readlink } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Reply } from "fuse-native";
import { messageOf, UserError } from "../../errors.ts";
import { liveMount, setReadAhead } from "../live-mount.ts";
import { fuseArgument } from "../mounting/fuse-options.ts";
import { checkHost, loadFuseNative } from "../mounting/host.ts";
import { isMounted, MOUNT_TYPE, mountAt, readMounts } from "../mounting/mountinfo.ts";
import { checkFree } from "../mounting/mountpoint.ts";
import { detach } from "../mounting/unmount.ts";
import type { MountedTransport, MountRequest } from "../transport.ts";
import { createOperations, type Operations } from "./operations.ts";

type FuseClass = typeof import("fuse-native").default;

const DEVICE = "/dev/fuse";
const DESCRIPTORS = "/proc/self/fd";
/** How often to check whether libfuse has closed the device. */
const LOOK_MS = 500;

/**
 * Mounts `fileSystem`. Resolves when readers can use it.
 *
 * @throws UserError when the host lacks something, or the mountpoint was taken meanwhile
 */
export async function mountFuseNative({
  fileSystem,
  mountpoint,
  options,
  log,
}: MountRequest): Promise<MountedTransport> {
  await checkHost(options.allowOther);
  const Fuse = await loadFuseNative();
  await checkFree(mountpoint);
  const { path, name, entries } = mountpoint;
  const operations = createOperations({ fileSystem, options, log });
  const before = await readMounts();
  const others = await openDevices();
  try {
    await start(Fuse, path, fuseArgument(options, entries > 0), operations);
  } catch (error) {
    // libfuse mounts first and checks the rest afterwards: leave no dead mount behind.
    const left = mountAt(await readMounts(), path);
    if (left?.type === MOUNT_TYPE && !isMounted(before, left)) await detach(path, true);
    if (error instanceof UserError) throw error;
    // fuse-native's only message is "fuse failed".
    const reason = `${messageOf(error)}; libfuse has said why on stderr or in the log`;
    throw new UserError(`cannot mount at ${name}: ${reason}`, { cause: error });
  }
  const mount = mountAt(await readMounts(), path);
  if (mount?.type !== MOUNT_TYPE) throw new UserError(`${name} was unmounted at once by somebody else`);
  await setReadAhead(mount, log);
  const [device] = (await openDevices()).filter((descriptor) => !others.includes(descriptor));
  return liveMount(mount, log, {
    openFiles: () => operations.openFiles(),
    failReads: () => operations.failReads(),
    disconnected: device === undefined ? undefined : closed(device),
    // Nothing to tell libfuse: it caches no names, and open-paths.ts keeps a path in use at its old version.
    switchTo: async (swap) => swap(),
  });
}

/** The descriptors by which this process has the device open. */
async function openDevices(): Promise<string[]> {
  const descriptors = await readdir(DESCRIPTORS);
  const open = await Promise.all(descriptors.map(isDevice));
  return descriptors.filter((_, i) => open[i]);
}

async function isDevice(descriptor: string): Promise<boolean> {
  return (await readlink(`${DESCRIPTORS}/${descriptor}`).catch(() => "")) === DEVICE;
}

/**
 * Resolves when libfuse has closed the device, which it does not report. If the last close() of a file ends the mount, the kernel does
 * not report that either, so waiting for it would take for ever.
 */
async function closed(descriptor: string): Promise<void> {
  while (await isDevice(descriptor)) await sleep(LOOK_MS, undefined, { ref: false });
}

function start(Fuse: FuseClass, path: string, argument: string, operations: Operations): Promise<void> {
  class Transport extends Fuse {
    protected override _fuseOptions(): string {
      return argument;
    }

    // The package's own versions answer EIO if a value does not fit.
    protected override _op_getxattr(reply: Reply, path: string, name: string, value: Buffer): void {
      operations.getxattr(path, name, value, (result) => reply(result, value.buffer));
    }

    protected override _op_listxattr(reply: Reply, path: string, list: Buffer): void {
      operations.listxattr(path, list, (result) => reply(result, list.buffer));
    }
  }
  // No time-outs of the package's own: metadata is answered within the call, and reads and opens have the file system's deadlines.
  const transport = new Transport(path, operations.handlers, { timeout: false });
  return new Promise((resolve, reject) => {
    transport.mount((error) => (error ? reject(error) : resolve()));
  });
}
