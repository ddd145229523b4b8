/** Unmounts: for `icfs umount`, for a process that ends its own mount, and for dead mounts. */

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../../errors.ts";
import { type CommandResult, run } from "../../process/command.ts";
import { isRoot } from "./host.ts";
import {
  isMountedThere,
  MOUNT_TYPE,
  type Mount,
  mountAt,
  mountsInside,
  namesOfMounts,
  readMounts,
} from "./mountinfo.ts";
import { locate } from "./probe.ts";
import { findServer } from "./serving-process.ts";

export interface UnmountResult {
  readonly mount: Mount;
  /** The process that served it, if the system shows it. */
  readonly pid: number | undefined;
  /** False when it was still running after some seconds, as when files are still open after a lazy unmount. */
  readonly serverEnded: boolean;
  /** What was mounted inside, and was unmounted as well, as only a lazy unmount does. */
  readonly inside: readonly Mount[];
}

// umount returns at once; after this long, the command itself hangs.
const COMMAND_LIMIT_MS = 10_000;
// A server checks its mount twice a second, and may give open files a moment.
const SERVER_LIMIT_MS = 5000;
const POLL_MS = 50;

/**
 * Unmounts the icfs mount at `mountpoint` and waits until it is gone and its process has ended.
 *
 * @param lazy unmounts a busy mount for new readers; those that have files open keep them
 * @throws UserError when nothing, or something else, is mounted there, or when it is busy
 */
export async function unmount(mountpoint: string, { lazy }: { lazy: boolean }): Promise<UnmountResult> {
  const path = await locate(mountpoint);
  const mounts = await readMounts();
  const mount = mountAt(mounts, path);
  if (!mount) throw new UserError(`${mountpoint} is not an icfs mount: nothing is mounted there`);
  const what = `of type ${mount.type} (${mount.source})`;
  if (mount.type !== MOUNT_TYPE && mounts.some((one) => one.mountpoint === path && one.type === MOUNT_TYPE)) {
    throw new UserError(
      `${mountpoint} has another mount on top of icfs's, ${what}: umount ${path} takes that away first`,
    );
  }
  if (mount.type !== MOUNT_TYPE) throw new UserError(`${mountpoint} is not an icfs mount, but ${what}`);
  const inside = mountsInside(mounts, mount);
  if (inside.length > 0 && !lazy) {
    throw new UserError(
      `${mountpoint} has mounts inside: ${namesOfMounts(inside)}; umount them first, or use --lazy, which unmounts them as well`,
    );
  }
  const pid = await findServer(mount);
  await detach(path, lazy);
  if (!(await until(async () => !isMountedThere(await readMounts(), mount)))) {
    throw new UserError(`${mountpoint} is still mounted`);
  }
  // Not by the mount's number: by now another mount may have it.
  const serverEnded = pid === undefined || (await until(async () => !isRunning(pid)));
  return { mount, pid, serverEnded, inside };
}

/**
 * Unmounts whatever is mounted at `path` (absolute, without symlinks).
 *
 * @throws UserError when that fails, usually because it is busy
 */
export async function detach(path: string, lazy: boolean): Promise<void> {
  // Root's umount needs no package; others can only unmount through fusermount, and only what they have mounted.
  const [command, parameters] = isRoot()
    ? ["umount", lazy ? ["-l", "--", path] : ["--", path]]
    : ["fusermount", ["-u", ...(lazy ? ["-z"] : []), "--", path]];
  let result: CommandResult;
  try {
    result = await run(command as string, parameters as string[], COMMAND_LIMIT_MS);
  } catch (error) {
    throw new UserError(`cannot run ${command} to unmount ${path}`, { cause: error });
  }
  if (result.code === 0) return;
  if (result.timedOut) throw new UserError(`${command} ${path} does not return`);
  // Neither has an exit code for this; the message is in English (lib/process/command.ts).
  if (/busy/i.test(result.stderr)) {
    throw new UserError(`${path} is busy: somebody has files open or works in it; --lazy unmounts it anyway`);
  }
  throw new UserError(`cannot unmount ${path}: ${result.stderr.trim()}`);
}

/** A zombie has ended: in a container, its parent may reap it late, or never. */
export function isRunning(pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The state follows the name in parentheses, which may contain some itself (proc_pid_stat(5)).
    return !/^ [ZX] /.test(status.slice(status.lastIndexOf(")") + 1));
  } catch {
    return false;
  }
}

async function until(condition: () => Promise<boolean>): Promise<boolean> {
  for (let waited = 0; waited < SERVER_LIMIT_MS; waited += POLL_MS) {
    if (await condition()) return true;
    await sleep(POLL_MS);
  }
  return condition();
}
