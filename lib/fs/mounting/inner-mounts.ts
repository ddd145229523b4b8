/**
 * What else is mounted inside of a mount: a local directory, an image. Also by processes that see other mounts than this one does
 * (mount_namespaces(7)), such as containers, as far as this process may know of them. Nothing here touches a mount.
 */

import { readdir, readFile, readlink } from "node:fs/promises";
import { posix } from "node:path";
import { type Mount, parseMountinfo } from "./mountinfo.ts";

/** What is mounted on a path. */
export interface InnerMount {
  /** The mount's id: one of its own for each copy. */
  readonly id: number;
  /** In the outer mount's file system, from its root on. The root itself is none. */
  readonly path: string;
  /** What is mounted there: the same for copies of a mount in other mount namespaces. */
  readonly what: string;
  /** Whether this process sees it. */
  readonly isHere: boolean;
}

/** All that is mounted inside, in any mount namespace. */
export async function innerMounts({ device }: Pick<Mount, "device">): Promise<InnerMount[]> {
  // Looked at twice: a table that changes while it is being read can come with a line missing.
  const tables = [...(await readTables()), ...(await readTables())];
  const found = new Map<number, InnerMount>();
  for (const { mounts, isHere } of tables) {
    for (const inner of pathsWithin(mounts, device)) {
      if (isHere || !found.has(inner.id)) found.set(inner.id, { ...inner, isHere });
    }
  }
  return [...found.values()];
}

/** Those that one table has. @param mounts all that a process sees */
export function pathsWithin(mounts: readonly Mount[], device: string): Omit<InnerMount, "isHere">[] {
  const outer = new Map(mounts.filter((mount) => mount.device === device).map((mount) => [mount.id, mount]));
  return mounts.flatMap((mount) => {
    const on = outer.get(mount.parent);
    if (on === undefined) return [];
    // A bind mount shows a part of the file system.
    const path = posix.join(on.root, posix.relative(on.mountpoint, mount.mountpoint)).replace(/^\/|\/$/g, "");
    return path === "" ? [] : [{ id: mount.id, path, what: `${mount.device} ${mount.root}` }];
  });
}

/**
 * The mounts of each mount namespace, this process's first. A process's table has what lies below its root directory (chroot(2)) only, so
 * that a namespace has as many tables as its processes have roots.
 */
async function readTables(): Promise<{ mounts: Mount[]; isHere: boolean }[]> {
  const tables = new Map<string, { mounts: Mount[]; isHere: boolean }>();
  let here: string | undefined;
  const processes = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  for (const process of ["self", ...processes]) {
    try {
      const namespace = await readlink(`/proc/${process}/ns/mnt`);
      here ??= namespace;
      const key = `${namespace} ${await readlink(`/proc/${process}/root`)}`;
      if (tables.has(key)) continue;
      const mounts = parseMountinfo(await readFile(`/proc/${process}/mountinfo`, "utf8"));
      tables.set(key, { mounts, isHere: namespace === here });
    } catch {
      // It has ended, or is somebody else's.
    }
  }
  return [...tables.values()];
}
