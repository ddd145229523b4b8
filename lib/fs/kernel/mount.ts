/**
 * The transport that speaks the kernel's own protocol, without libfuse: for root on Linux. Unlike over libfuse 2 an inode
 * here stands for one content, so that releases can be switched atomically while files are open and pages are kept.
 *
 * The process that serves a mount must never touch it with a blocking call: it would wait for itself for ever.
 */

import { messageOf, UserError } from "../../errors.ts";
import { run } from "../../process/command.ts";
import { liveMount, setReadAhead } from "../live-mount.ts";
import { checkSource } from "../mounting/fuse-options.ts";
import { checkHost } from "../mounting/host.ts";
import { MOUNT_TYPE, mountAt, readMounts } from "../mounting/mountinfo.ts";
import { prepareMountpoint } from "../mounting/mountpoint.ts";
import { detach } from "../mounting/unmount.ts";
import type { MountedTransport, MountRequest } from "../transport.ts";
import { Device } from "./device.ts";
import { attributesOutdated } from "./protocol.ts";
import { Session } from "./session.ts";

/** mount(8) answers at once; beyond this the command itself hangs. */
const COMMAND_LIMIT_MS = 10_000;

/**
 * Mounts `fileSystem`. Resolves when readers can use it.
 *
 * @throws UserError when the host lacks something or the mountpoint does not suit
 */
export async function mountKernel({
  fileSystem,
  mountpoint,
  options,
  log,
}: MountRequest): Promise<MountedTransport> {
  checkSource(options);
  await checkHost(options.allowOther);
  const { path } = await prepareMountpoint(mountpoint, log);
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
  // A source that happens to be a file's name is not to be made an absolute path (-c).
  const command = ["-i", "-c", "-t", MOUNT_TYPE, "-o", parameters.join(","), "--", options.source, path];
  const { code, stderr } = await run("mount", command, COMMAND_LIMIT_MS, {
    descriptor: device.descriptor,
    // Through fsopen(2), which Debian 13's takes by itself, the kernel is not told what follows the dot of the type.
    environment: { LIBMOUNT_FORCE_MOUNT2: "always" },
  }).catch((error) => ({ code: -1, stderr: messageOf(error) }));
  if (code !== 0) {
    device.close();
    throw new UserError(`cannot mount at ${mountpoint}: ${stderr.trim()}`);
  }
  device.listen((request) => session.handle(request));
  const mount = mountAt(await readMounts(), path);
  if (mount?.type !== MOUNT_TYPE) throw new UserError(`${mountpoint} was unmounted at once by somebody else`);
  try {
    await Promise.race([
      session.greeted,
      device.disconnected.then(() => Promise.reject(new Error("cut off"))),
    ]);
  } catch (error) {
    await detach(path, true);
    throw new UserError(`cannot mount at ${mountpoint}: ${messageOf(error)}; try --transport fuse-native`);
  }
  await setReadAhead(mount, log);

  return liveMount(mount, log, {
    openFiles: () => session.openFiles,
    failReads: () => session.failReads(),
    disconnected: device.disconnected,
    async switchTo(swap) {
      // The kernel asks what a name means each time that somebody uses it.
      swap();
      // Their times have changed, and their inodes have not. Who looks one up is told anew; the root has no name to be
      // looked up by, nor has a directory that somebody works in.
      for (const directory of session.directories) {
        await device.notify(attributesOutdated(directory)).catch(() => {});
      }
    },
  });
}
