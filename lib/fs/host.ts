/** What the host must have before anything can be mounted; each lack is reported with its remedy. */

import { access, constants, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { UserError } from "../errors.ts";

export const isRoot = (): boolean => process.geteuid!() === 0;

/**
 * Throws a UserError for the first thing that is missing.
 *
 * @param allowOther whether other users shall be able to read
 */
export async function checkHost(allowOther: boolean): Promise<void> {
  if (!(await usable("/dev/fuse", constants.F_OK))) {
    throw new UserError(
      "there is no /dev/fuse: load the kernel's FUSE module (modprobe fuse), or give the container that device",
    );
  }
  if (!(await usable("/dev/fuse", constants.R_OK | constants.W_OK))) {
    throw new UserError(
      "/dev/fuse is not for this user to open: chmod 666 /dev/fuse, as most systems have it",
    );
  }
  if (isRoot()) return;
  if (!(await findInPath("fusermount"))) {
    throw new UserError("users other than root need fusermount to mount: apt install fuse3");
  }
  if (allowOther && !(await userAllowOther())) {
    throw new UserError(
      "users other than root need a line user_allow_other in /etc/fuse.conf to mount with --allow-other",
    );
  }
}

/**
 * Loads fuse-native, which brings libfuse 2 with it; done only when mounting, so that all other commands work without.
 *
 * @throws UserError
 */
export async function loadFuseNative(): Promise<typeof import("fuse-native").default> {
  try {
    return (await import("fuse-native")).default;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    // Debian 13 and Ubuntu 24.04 have renamed the package, with the change to 64-bit times.
    const remedy = reason.includes("libfuse")
      ? "apt install libfuse2 (libfuse2t64 on newer systems)"
      : "npm rebuild fuse-native";
    throw new UserError(`cannot load fuse-native: ${reason.split("\n")[0]}; try: ${remedy}`, {
      cause: error,
    });
  }
}

async function usable(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}

async function findInPath(command: string): Promise<boolean> {
  for (const directory of (process.env.PATH ?? "").split(delimiter)) {
    if (directory !== "" && (await usable(join(directory, command), constants.X_OK))) return true;
  }
  return false;
}

async function userAllowOther(): Promise<boolean> {
  const text = await readFile("/etc/fuse.conf", "utf8").catch(() => "");
  return /^\s*user_allow_other\s*$/m.test(text);
}
