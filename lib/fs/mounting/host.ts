/** What the host needs for mounting; whatever is missing is reported with its remedy. */

import { access, constants, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { UserError } from "../../errors.ts";

export const isRoot = (): boolean => process.geteuid!() === 0;

/** Where to look for what mounting needs: on this host, or in a directory that stands for one. */
export interface Host {
  /** The directory in which its files are: "/". */
  readonly files: string;
  readonly isRoot: boolean;
  /** Where its commands are, as PATH has it. */
  readonly commands: string;
}

export function thisHost(): Host {
  return { files: "/", isRoot: isRoot(), commands: process.env.PATH ?? "" };
}

/** What a host lacks, and what to do about it. */
export interface Lack {
  readonly problem: string;
  readonly remedy: string;
}

/**
 * Throws a UserError for the first thing that is missing.
 *
 * @param allowOther whether other users can read
 */
export async function checkHost(allowOther: boolean): Promise<void> {
  const host = thisHost();
  const lack =
    (await deviceLack(host)) ??
    (await fusermountLack(host)) ??
    (allowOther ? await allowOtherLack(host) : undefined);
  if (lack !== undefined) throw new UserError(`${lack.problem}: ${lack.remedy}`);
}

/** What is wrong with /dev/fuse; undefined: nothing. */
export async function deviceLack({ files }: Host): Promise<Lack | undefined> {
  const device = join(files, "dev/fuse");
  if (!(await usable(device, constants.F_OK))) {
    return {
      problem: "there is no /dev/fuse",
      remedy: "load the kernel's FUSE module (modprobe fuse), or give the container that device",
    };
  }
  if (!(await usable(device, constants.R_OK | constants.W_OK))) {
    return {
      problem: "/dev/fuse is not for this user to open",
      remedy: "mount as root, or have root say chmod 666 /dev/fuse, as most systems have it",
    };
  }
  return undefined;
}

/** Whether the command is missing that mounts for users other than root. */
export async function fusermountLack({ isRoot, commands }: Host): Promise<Lack | undefined> {
  if (isRoot || (await findInPath("fusermount", commands))) return undefined;
  return { problem: "users other than root need fusermount to mount", remedy: "apt install fuse3" };
}

/** Whether the host's configuration keeps users other than root from letting others read. */
export async function allowOtherLack({ isRoot, files }: Host): Promise<Lack | undefined> {
  if (isRoot) return undefined;
  const text = await readFile(join(files, "etc/fuse.conf"), "utf8").catch(() => "");
  if (/^\s*user_allow_other\s*$/m.test(text)) return undefined;
  return {
    problem:
      "users other than root need a line user_allow_other in /etc/fuse.conf to mount with --allow-other",
    remedy: "echo user_allow_other >> /etc/fuse.conf, as root",
  };
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

async function findInPath(command: string, path: string): Promise<boolean> {
  for (const directory of path.split(delimiter)) {
    if (directory !== "" && (await usable(join(directory, command), constants.X_OK))) return true;
  }
  return false;
}
