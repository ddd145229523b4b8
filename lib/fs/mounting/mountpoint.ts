/** Looks at a mountpoint before it is used: is it fit, is it taken, is a dead mount of ours still there. */

import { access, constants } from "node:fs/promises";
import { UserError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import { AUTOMOUNT_TYPE, automounts } from "./automount.ts";
import { isRoot } from "./host.ts";
import { MOUNT_TYPE, mountAt, readMounts } from "./mountinfo.ts";
import { inspect } from "./probe.ts";
import { detach } from "./unmount.ts";

export interface Mountpoint {
  /** Absolute, without symlinks. */
  readonly path: string;
  /** How many files the mount will hide. */
  readonly entries: number;
}

// Dead mounts can lie on top of each other, if each was made without noticing the one below.
const MOST_DEAD = 16;

/**
 * Makes sure that `path` can be mounted on, taking away what a killed icfs has left there.
 *
 * A directory with files in it is good, as it is for mount(8): the usual place is a TFTP server's root, which often
 * has some. They are out of sight until the mount goes; the log says so. One that an automount has made is not looked into.
 *
 * @throws UserError when it is missing, no directory, taken, or does not answer
 */
export async function prepareMountpoint(path: string, log: Log): Promise<Mountpoint> {
  for (let attempt = 0; attempt < MOST_DEAD; attempt++) {
    const found = await inspect(path, automounts(await readMounts()));
    if (found.code === "ENOTCONN") {
      await replaceDead(path, found.path, log);
      continue;
    }
    if (found.code === "ENOENT") throw new UserError(`${path} does not exist: create the directory first`);
    if (found.code === "ENOTDIR") throw new UserError(`${path} is not a directory`);
    if (found.code !== undefined) throw new UserError(`cannot use ${path}: ${found.code}`);
    const mount = mountAt(await readMounts(), found.path);
    if (mount?.type === MOUNT_TYPE) {
      throw new UserError(`${mount.source} is already mounted at ${path}; icfs umount takes it away`);
    }
    if (mount !== undefined && mount.type !== AUTOMOUNT_TYPE) {
      throw new UserError(
        `${path} is in use: a file system of type ${mount.type} (${mount.source}) is mounted there`,
      );
    }
    if (!isRoot() && !(await writable(found.path))) {
      throw new UserError(
        `${path} is not this user's to mount at: it must be writable, or root must mount there`,
      );
    }
    if (found.entries > 0) log.warn(`the mount hides ${found.entries} files that are in ${path}`);
    return { path: found.path, entries: found.entries };
  }
  throw new UserError(
    `there are more than ${MOST_DEAD} dead mounts at ${path}; umount -l takes away one at a time`,
  );
}

async function replaceDead(path: string, resolved: string, log: Log): Promise<void> {
  const mount = mountAt(await readMounts(), resolved);
  if (mount?.type !== MOUNT_TYPE) {
    throw new UserError(`${path} is a dead mount of something else than icfs; umount -l takes it away`);
  }
  log.warn(`taking away a dead mount of ${mount.source} at ${path}: its process was killed`);
  await detach(resolved, true);
}

// fusermount mounts only where the user may write. It has answered already, so that this call cannot hang.
function writable(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(
    () => true,
    () => false,
  );
}
