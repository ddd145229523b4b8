/** Finds the process that serves a mount, through /proc's information about open files. */

import { readdir, readFile, readlink } from "node:fs/promises";
import type { Mount } from "./mountinfo.ts";

/**
 * The id of the process that serves `mount`; undefined when there is none (a dead mount), or when that is unknown: the
 * process is another user's, or the kernel does not show the connection of an open /dev/fuse (new in 6.14).
 */
export async function findServer(mount: Mount): Promise<number | undefined> {
  // The connection's number is the minor of the mount's device, whose major is 0.
  const connection = mount.device.split(":")[1];
  for (const name of await readdir("/proc")) {
    if (/^\d+$/.test(name) && (await serves(name, connection!))) return Number(name);
  }
  return undefined;
}

async function serves(pid: string, connection: string): Promise<boolean> {
  // None of another user's process, or of one that has just ended.
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  for (const descriptor of descriptors) {
    if ((await connectionOf(pid, descriptor)) === connection) return true;
  }
  return false;
}

/** The number of a descriptor's FUSE connection; undefined when it is something else, or closed by now. */
async function connectionOf(pid: string, descriptor: string): Promise<string | undefined> {
  try {
    if ((await readlink(`/proc/${pid}/fd/${descriptor}`)) !== "/dev/fuse") return undefined;
    const info = await readFile(`/proc/${pid}/fdinfo/${descriptor}`, "utf8");
    return /^fuse_connection:\s*(\d+)$/m.exec(info)?.[1];
  } catch {
    return undefined;
  }
}
