/**
 * Directories in which something is mounted when somebody opens them: by systemd (x-systemd.automount) or automount(8). The kernel
 * keeps everybody waiting until that is done, but for the automounter's own process group, which is to do it. So whoever mounts there
 * must be of that group, and touch nothing when it is not.
 */
import { readFile } from "node:fs/promises";
import { type Mount, mountAt, readMounts } from "./mountinfo.ts";

/** The type under which the kernel lists them. */
export const AUTOMOUNT_TYPE = "autofs";

/**
 * Those that nothing is mounted on. To open one has it mounted, and so has asking for its type as Node does (by statx(2), without
 * AT_NO_AUTOMOUNT).
 */
export function automounts(mounts: readonly Mount[]): string[] {
  return mounts
    .filter((mount) => mount.type === AUTOMOUNT_TYPE && mountAt(mounts, mount.mountpoint) === mount)
    .map(({ mountpoint }) => mountpoint);
}

/** Whether this process is of an automounter's group: it was started to mount what somebody waits for. */
export async function isOfAutomounter(): Promise<boolean> {
  return isAutomounters(processGroup(await readFile("/proc/self/stat", "utf8")), await readMounts());
}

/** @param group 0: of another process namespace, of which this one sees none; so it does the automounters there (pid_namespaces(7)) */
export function isAutomounters(group: number, mounts: readonly Mount[]): boolean {
  return (
    group !== 0 &&
    mounts.some(({ type, superOptions }) => type === AUTOMOUNT_TYPE && superOptions.includes(`pgrp=${group}`))
  );
}

/** @param stat behind the name, which stands in parentheses and may have some in it, are state, parent and group (proc_pid_stat(5)) */
export function processGroup(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]);
}
