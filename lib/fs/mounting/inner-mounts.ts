/**
 * What else is mounted inside of a mount: a local directory, an ISO image. Also by processes that see other mounts than this one does
 * (mount_namespaces(7)), such as containers, as far as this process may know of them. Nothing here touches a mount.
 */

import { readdir, readFile, readlink } from "node:fs/promises";
import { posix } from "node:path";
import { type Mount, parseMountinfo } from "./mountinfo.ts";

/** Paths in the mount's file system, from its root on, each once. What is mounted on the root itself is not among them. */
export async function mountsWithin({ device }: Pick<Mount, "device">): Promise<string[]> {
  const paths = new Set<string>();
  // Looked at twice: a table that changes while it is being read can come with a line missing.
  for (const table of [...(await readTables()), ...(await readTables())]) {
    for (const path of pathsWithin(table, device)) paths.add(path);
  }
  return [...paths];
}

/** Those that one table has. @param mounts all that a process sees */
export function pathsWithin(mounts: readonly Mount[], device: string): string[] {
  const outer = new Map(mounts.filter((mount) => mount.device === device).map((mount) => [mount.id, mount]));
  return mounts.flatMap(({ parent, mountpoint }) => {
    const on = outer.get(parent);
    if (on === undefined) return [];
    // A bind mount shows a part of the file system.
    const path = posix.join(on.root, posix.relative(on.mountpoint, mountpoint)).replace(/^\/|\/$/g, "");
    return path === "" ? [] : [path];
  });
}

/** The mounts of each mount namespace, this process's first. */
async function readTables(): Promise<Mount[][]> {
  const tables = new Map<string, Mount[]>();
  const processes = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  for (const process of ["self", ...processes]) {
    try {
      const namespace = await readlink(`/proc/${process}/ns/mnt`);
      if (tables.has(namespace)) continue;
      tables.set(namespace, parseMountinfo(await readFile(`/proc/${process}/mountinfo`, "utf8")));
    } catch {
      // It has ended, or is somebody else's.
    }
  }
  return [...tables.values()];
}
