/** Checks a mountpoint before it is used: whether it is suitable, taken, or has a dead mount of ours. */

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
  /** As it was given, for messages. */
  readonly name: string;
  /** How many files the mount will hide. */
  readonly entries: number;
}

// Dead mounts can be stacked, if each was made without noticing the one below.
const MOST_DEAD = 16;

/**
 * Makes sure that `path` can be mounted on, and removes the mount of a killed icfs.
 *
 * Something else may be mounted there before the mount is made, so transports call `checkFree` again.
 *
 * A directory may contain files, as with mount(8): the usual place is a TFTP server's root, which often
 * has some. The mount hides them; the log says so. An automount's directory is not opened.
 *
 * @throws UserError when it is missing, not a directory, taken, or does not answer
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
    const mountpoint = { path: found.path, name: path, entries: found.entries };
    await checkFree(mountpoint);
    if (!isRoot() && !(await writable(found.path))) {
      throw new UserError(
        `${path} cannot be used as a mountpoint by this user: it must be writable, or root must mount there`,
      );
    }
    if (found.entries > 0) log.warn(`the mount hides ${found.entries} files that are in ${path}`);
    return mountpoint;
  }
  throw new UserError(
    `there are more than ${MOST_DEAD} dead mounts at ${path}; umount -l removes one at a time`,
  );
}

/** @throws UserError when something is mounted there already */
export async function checkFree({ path, name }: Mountpoint): Promise<void> {
  const mount = mountAt(await readMounts(), path);
  if (mount?.type === MOUNT_TYPE) {
    throw new UserError(`${mount.source} is already mounted at ${name}; icfs umount unmounts it`);
  }
  if (mount !== undefined && mount.type !== AUTOMOUNT_TYPE) {
    throw new UserError(
      `${name} is in use: a file system of type ${mount.type} (${mount.source}) is mounted there`,
    );
  }
}

async function replaceDead(path: string, resolved: string, log: Log): Promise<void> {
  const mount = mountAt(await readMounts(), resolved);
  if (mount?.type !== MOUNT_TYPE) {
    throw new UserError(`${path} is a dead mount, but not of icfs; umount -l removes it`);
  }
  log.warn(`removing a dead mount of ${mount.source} at ${path}: its process was killed`);
  await detach(resolved, true);
}

// fusermount mounts only where the user may write. It has answered already, so that this call cannot hang.
function writable(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(
    () => true,
    () => false,
  );
}
