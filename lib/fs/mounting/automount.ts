/**
 * Directories on which something is mounted when somebody opens them: by systemd (x-systemd.automount) or automount(8). The kernel
 * makes everybody wait for that, except for the automounter's own process group, which has to mount. So a process that mounts there
 * must belong to that group, and must not touch the directory otherwise.
 */
import { readFile } from "node:fs/promises";
import { type Mount, mountAt, readMounts } from "./mountinfo.ts";

/** The type under which the kernel lists them. */
export const AUTOMOUNT_TYPE = "autofs";

/**
 * The mountpoints of automounts on which nothing is mounted. Opening one triggers the mount, and so does asking for its type as Node does
 * (by statx(2), without AT_NO_AUTOMOUNT).
 */
export function automounts(mounts: readonly Mount[]): string[] {
  return mounts
    .filter((mount) => mount.type === AUTOMOUNT_TYPE && mountAt(mounts, mount.mountpoint) === mount)
    .map(({ mountpoint }) => mountpoint);
}

/** Whether this process belongs to an automounter's group: it was started to mount what somebody waits for. */
export async function isOfAutomounter(): Promise<boolean> {
  return isAutomounters(processGroup(await readFile("/proc/self/stat", "utf8")), await readMounts());
}

/** @param group 0: it is in another process namespace, which this one cannot see (pid_namespaces(7)) */
export function isAutomounters(group: number, mounts: readonly Mount[]): boolean {
  return (
    group !== 0 &&
    mounts.some(({ type, superOptions }) => type === AUTOMOUNT_TYPE && superOptions.includes(`pgrp=${group}`))
  );
}

/** @param stat its content: after the name in parentheses, which may contain some itself, come state, parent, group (proc_pid_stat(5)) */
export function processGroup(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]);
}
