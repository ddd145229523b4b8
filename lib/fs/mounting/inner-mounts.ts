/**
 * What else is mounted inside of a mount: a local directory, an image. This includes mounts in other mount namespaces
 * (mount_namespaces(7)), such as containers, as far as this process can see them. Nothing here touches a mount.
 */

import { readdir, readFile, readlink } from "node:fs/promises";
import { posix } from "node:path";
import { type Mount, parseMountinfo } from "./mountinfo.ts";

/** What is mounted on a path. */
export interface InnerMount {
  /** The mount's id. Its copies in other mount namespaces have ids of their own. */
  readonly id: number;
  /** The path in the outer mount's file system, never its root. */
  readonly path: string;
  /** Identifies what is mounted there: the same for copies of a mount in other mount namespaces. */
  readonly what: string;
  /** Whether this process sees it. */
  readonly isHere: boolean;
}

/** All that is mounted inside, in any mount namespace. */
export async function innerMounts({ device }: Pick<Mount, "device">): Promise<InnerMount[]> {
  // Read twice: if the table changes while it is read, a line may be missing.
  const tables = [...(await readTables()), ...(await readTables())];
  const found = new Map<number, InnerMount>();
  for (const { mounts, isHere } of tables) {
    for (const inner of pathsWithin(mounts, device)) {
      if (isHere || !found.has(inner.id)) found.set(inner.id, { ...inner, isHere });
    }
  }
  return [...found.values()];
}

/** The mounts in one table. @param mounts all that a process sees */
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
 * The mounts of each mount namespace, this process's first. A process's table has only what is below its root directory (chroot(2)), so
 * a namespace has as many tables as its processes have roots.
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
      // It has ended, or belongs to another user.
    }
  }
  return [...tables.values()];
}
