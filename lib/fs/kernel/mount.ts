/**
 * The transport that speaks the kernel's own protocol, without libfuse: for root on Linux. Unlike with libfuse 2, an inode
 * stands for one content here, so releases can be switched atomically while files are open and pages are kept.
 *
 * The process that serves a mount must never touch it with a blocking call: it would wait for itself for ever.
 */

import { messageOf, UserError } from "../../errors.ts";
import { run } from "../../process/command.ts";
import { liveMount, setReadAhead } from "../live-mount.ts";
import { checkSource } from "../mounting/fuse-options.ts";
import { checkHost } from "../mounting/host.ts";
import { MOUNT_TYPE, mountAt, readMounts } from "../mounting/mountinfo.ts";
import { checkFree } from "../mounting/mountpoint.ts";
import { detach } from "../mounting/unmount.ts";
import type { MountedTransport, MountRequest } from "../transport.ts";
import { Device } from "./device.ts";
import { attributesOutdated } from "./protocol.ts";
import { Session } from "./session.ts";

/** mount(8) returns at once; after this long, the command itself hangs. */
const COMMAND_LIMIT_MS = 10_000;

/**
 * Mounts `fileSystem`. Resolves when readers can use it.
 *
 * @throws UserError when the host lacks something, or the mountpoint was taken meanwhile
 */
export async function mountKernel({
  fileSystem,
  mountpoint,
  options,
  log,
}: MountRequest): Promise<MountedTransport> {
  checkSource(options);
  await checkHost(options.allowOther);
  await checkFree(mountpoint);
  const { path, name } = mountpoint;
  const device = new Device(log);
  const session = new Session({ fileSystem, options, log, send: (parts) => device.send(parts) });
  const parameters = [
    "fd=3",
    "rootmode=40000",
    "user_id=0",
    "group_id=0",
    ...["ro", "nosuid", "nodev", "noexec", "default_permissions"],
    ...(options.allowOther ? ["allow_other"] : []),
    // In quotes: a label may have commas in it.
    ...(options.context === undefined ? [] : [`context="${options.context}"`]),
  ];
  // -c: a source that happens to be a file's name must not become an absolute path.
  const command = ["-i", "-c", "-t", MOUNT_TYPE, "-o", parameters.join(","), "--", options.source, path];
  const { code, stderr } = await run("mount", command, COMMAND_LIMIT_MS, {
    descriptor: device.descriptor,
    // Through fsopen(2), the default in Debian 13, the kernel does not learn what follows the dot of the type.
    environment: { LIBMOUNT_FORCE_MOUNT2: "always" },
  }).catch((error) => ({ code: -1, stderr: messageOf(error) }));
  if (code !== 0) {
    device.close();
    throw new UserError(`cannot mount at ${name}: ${stderr.trim()}`);
  }
  device.listen((request) => session.handle(request));
  const mount = mountAt(await readMounts(), path);
  if (mount?.type !== MOUNT_TYPE) throw new UserError(`${name} was unmounted at once by somebody else`);
  try {
    await Promise.race([
      session.greeted,
      device.disconnected.then(() => Promise.reject(new Error("cut off"))),
    ]);
  } catch (error) {
    await detach(path, true);
    throw new UserError(`cannot mount at ${name}: ${messageOf(error)}; try --transport fuse-native`);
  }
  await setReadAhead(mount, log);

  return liveMount(mount, log, {
    openFiles: () => session.openFiles,
    failReads: () => session.failReads(),
    disconnected: device.disconnected,
    async switchTo(swap) {
      // The kernel looks a name up each time that somebody uses it.
      swap();
      // Their times have changed, but not their inodes. A lookup gets the new times, but the root is never looked
      // up, and neither is a directory that is somebody's working directory.
      for (const directory of session.directories) {
        await device.notify(attributesOutdated(directory)).catch(() => {});
      }
    },
  });
}
