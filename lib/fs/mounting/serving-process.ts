/** Finds the process that serves a mount, through what /proc says of open files. */

import { readdir, readFile, readlink } from "node:fs/promises";
import type { Mount } from "./mountinfo.ts";

/**
 * The id of the process that serves `mount`; undefined when there is none (a dead mount), or when one cannot know: the
 * process is another user's, or the kernel does not tell which connection an open /dev/fuse belongs to (new in 6.14).
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
  try {
    for (const descriptor of await readdir(`/proc/${pid}/fd`)) {
      if ((await readlink(`/proc/${pid}/fd/${descriptor}`)) !== "/dev/fuse") continue;
      const info = await readFile(`/proc/${pid}/fdinfo/${descriptor}`, "utf8");
      if (info.match(/^fuse_connection:\s*(\d+)$/m)?.[1] === connection) return true;
    }
  } catch {
    // Another user's process, or one that has just ended.
  }
  return false;
}
