/** What is mounted where, from /proc/self/mountinfo. Reading it never touches the mounted file systems. */

import { readFile } from "node:fs/promises";

/** The type under which the kernel lists our mounts. */
export const MOUNT_TYPE = "fuse.icfs";

export interface Mount {
  readonly id: number;
  /** The id of the mount below this one. */
  readonly parent: number;
  /** `MAJOR:MINOR`, the st_dev of its files. */
  readonly device: string;
  /** What the mountpoint shows: `/`, or for a bind mount a path in its file system. */
  readonly root: string;
  readonly mountpoint: string;
  readonly options: readonly string[];
  /** The file system's options, which include FUSE's own, not this mount's. */
  readonly superOptions: readonly string[];
  readonly type: string;
  /** For our mounts the canister, as the user named it. */
  readonly source: string;
}

/** All mounts this process sees. */
export async function readMounts(): Promise<Mount[]> {
  return parseMountinfo(await readFile("/proc/self/mountinfo", "utf8"));
}

/** Parses the text of a mountinfo file, see proc_pid_mountinfo(5); lines that do not fit the format are left out. */
export function parseMountinfo(text: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split("\n")) {
    const mount = parseLine(line);
    if (mount) mounts.push(mount);
  }
  return mounts;
}

function parseLine(line: string): Mount | undefined {
  const fields = line.split(" ");
  // Any number of optional fields is between the options and a lone "-".
  const separator = fields.indexOf("-", 6);
  const [id, parent, device, root, mountpoint, options] = fields;
  if (separator < 0 || mountpoint === undefined || options === undefined) return undefined;
  return {
    id: Number(id),
    parent: Number(parent),
    device: device!,
    root: unescapeOctal(root!),
    mountpoint: unescapeOctal(mountpoint),
    options: options.split(","),
    type: unescapeOctal(fields[separator + 1] ?? ""),
    source: unescapeOctal(fields[separator + 2] ?? ""),
    superOptions: (fields[separator + 3] ?? "").split(","),
  };
}

/** The kernel writes space, tab, newline, backslash and "#" as \ooo, each for one byte; so do people in fstab(5). */
export function unescapeOctal(text: string): string {
  return text.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/** The mount one sees at `mountpoint` (an absolute path without symlinks), the topmost if several are stacked. */
export function mountAt(mounts: readonly Mount[], mountpoint: string): Mount | undefined {
  const stacked = mounts.filter((mount) => mount.mountpoint === mountpoint);
  const covered = new Set(stacked.map((mount) => mount.parent));
  return stacked.find((mount) => !covered.has(mount.id));
}

/** What is mounted inside `mount`, or inside of that, in the kernel's order; not what it hides. */
export function mountsInside(mounts: readonly Mount[], mount: Mount): Mount[] {
  const inside = new Set<Mount>();
  const isAbove = ({ parent }: Mount) => parent === mount.id || [...inside].some(({ id }) => id === parent);
  // A mount that was moved is listed before the one that it is in now.
  for (let before = -1; before < inside.size; ) {
    before = inside.size;
    for (const one of mounts) if (isAbove(one)) inside.add(one);
  }
  return mounts.filter((one) => inside.has(one));
}

/** As messages name mounts: where, and of which type. */
export function namesOfMounts(mounts: readonly Mount[]): string {
  return mounts.map(({ mountpoint, type }) => `${mountpoint} (${type})`).join(", ");
}

/** Tells whether `mount` is still among `mounts`, wherever it was moved to. */
export function isMounted(mounts: readonly Mount[], mount: Mount): boolean {
  return mounts.some((other) => isSame(other, mount));
}

/**
 * Tells whether `mount` is still among `mounts` where it was. The kernel reuses a mount's numbers at once: after an
 * unmount, another mount elsewhere may have both.
 */
export function isMountedThere(mounts: readonly Mount[], mount: Mount): boolean {
  return mounts.some((other) => isSame(other, mount) && other.mountpoint === mount.mountpoint);
}

/** Compares the numbers, and the fields that differ if the kernel has reused them. */
function isSame(a: Mount, b: Mount): boolean {
  return a.id === b.id && a.device === b.device && a.type === b.type && a.source === b.source;
}
