/** Where a user's or the host's files are, by the XDG Base Directory Specification (root's are the host's), and how they are created. */
import { chmodSync, lstatSync, mkdirSync, type Stats, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { userInfo } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { isAbsent, UserError } from "./errors.ts";

/** The directory for what can be fetched again. */
export function cacheDirectory(): string {
  return directory("XDG_CACHE_HOME", ".cache", "/var/cache/icfs");
}

/** The directory for data that must persist. @param host root's directory for it */
export function stateDirectory(host: string): string {
  return directory("XDG_STATE_HOME", ".local/state", host);
}

/** @param variable takes precedence, also for root. @param home below a user's home. @param host root's directory */
function directory(variable: string, home: string, host: string): string {
  const set = absolute(variable);
  if (set !== undefined) return join(set, "icfs");
  return process.getuid!() === 0 ? host : join(homeDirectory(), home, "icfs");
}

/** Where a user's configuration is. */
export function configDirectory(): string {
  return join(absolute("XDG_CONFIG_HOME") ?? join(homeDirectory(), ".config"), "icfs");
}

/** The value of a variable. As in the specification, a path that is not absolute is ignored, since a daemon changes its directory. */
export function absolute(variable: string): string | undefined {
  const set = process.env[variable];
  return set && isAbsolute(set) ? set : undefined;
}

/** Debian's placeholder for a missing home, for example of a container's user without an entry in passwd(5). */
const NO_HOME = "/nonexistent";

function homeDirectory(): string {
  const set = absolute("HOME");
  if (set !== undefined) return set;
  try {
    return userInfo().homedir;
  } catch {
    return NO_HOME;
  }
}

/**
 * Creates a directory, and its parents, if they are missing. Node's own recursive mkdir() reports ENOENT on a read-only disk, and never
 * returns in /proc.
 *
 * @returns whether it was missing
 * @throws Error of mkdir(2), which names the directory that has the problem
 */
export function makeDirectory(path: string, mode?: number): boolean {
  try {
    return makeOne(path, mode);
  } catch (error) {
    if (!isAbsent(error) || dirname(path) === path) throw error;
    makeDirectory(dirname(path), mode);
    return makeOne(path, mode);
  }
}

function makeOne(path: string, mode: number | undefined): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === "EEXIST" && isDirectory(path);
    if (!isThere) throw error;
    return false;
  }
}

/**
 * Creates a directory inside one of this user's own if necessary, and makes sure that it is not a link: others who can write to the parent,
 * such as containers that share it, could have put a link there to any directory of this host.
 *
 * @returns whether it was missing
 * @throws UserError when it is a link; Error of mkdir(2)
 */
export function makeInside(path: string): boolean {
  const isNew = makeDirectory(path, 0o700);
  if (isLink(path))
    throw new UserError(`${path} is a symbolic link: remove it (the directory above may be one)`);
  return isNew;
}

/** Whether there is a symbolic link at a path. */
export function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

/** The names in a directory; none if it is a symbolic link, whose target may belong to anybody, or cannot be read. */
export async function namesInside(directory: string): Promise<string[]> {
  try {
    return isLink(directory) ? [] : await readdir(directory);
  } catch {
    return [];
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Creates a directory for this user alone if necessary. @param otherwise as in mustBeOwn(). @throws as mustBeOwn(); Error of mkdir(2) */
export function makeOwnDirectory(path: string, otherwise: string): void {
  makeDirectory(path, 0o700);
  mustBeOwn(path, otherwise);
}

/**
 * Checks that a directory, if it exists, belongs to this user or to root and that nobody else can write to it. In /tmp, for example,
 * another user may have created it, or a link in its place. Links of root or this user are followed, since the directory may have been
 * moved to another disk.
 *
 * @param otherwise what the user can do instead, for the error
 * @param nobody the mode bits that must not be set
 * @throws UserError
 */
export function mustBeOwn(path: string, otherwise: string, nobody = 0o022): void {
  const link = lstatSync(path, { throwIfNoEntry: false });
  if (link === undefined) return;
  if (link.isSymbolicLink() && link.uid !== 0 && link.uid !== process.geteuid!()) {
    throw new UserError(`${path} is a symbolic link, and others may have made it: ${otherwise}`);
  }
  const found = link.isSymbolicLink() ? statSync(path) : link;
  if (!found.isDirectory()) throw new UserError(`${path} is not a directory: ${otherwise}`);
  // A directory that root has created for this user is fine, too.
  if (found.uid !== process.geteuid!() && found.uid !== 0) {
    throw new UserError(`${path} belongs to another user: ${otherwise}`);
  }
  if ((found.mode & nobody) !== 0) {
    throw new UserError(`others can write to ${path}: chmod 700 it, or ${otherwise}`);
  }
}

/**
 * mustBeOwn() for a directory that icfs creates itself. If it is this user's and writable by its group, the group loses that right:
 * older versions left the mode to the umask, which is 002 for many users with a group of their own.
 *
 * @throws UserError
 */
export function makeItOwn(path: string, otherwise: string): void {
  try {
    const link = lstatSync(path);
    const isOurs = ({ uid }: Stats) => uid === process.geteuid!();
    const found = statSync(path);
    const isShared = found.isDirectory() && (found.mode & 0o022) === 0o020;
    if (isShared && isOurs(found) && (isOurs(link) || link.uid === 0)) chmodSync(path, found.mode & 0o7755);
  } catch {
    // mustBeOwn() reports the problem.
  }
  mustBeOwn(path, otherwise);
}
