/** Where a user's or the host's files are, by the XDG Base Directory Specification (root's are the host's), and how they are made. */
import { chmodSync, lstatSync, mkdirSync, type Stats, statSync } from "node:fs";
import { userInfo } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { isAbsent, UserError } from "./errors.ts";

/** For what can be had again. */
export function cacheDirectory(): string {
  return directory("XDG_CACHE_HOME", ".cache", "/var/cache/icfs");
}

/** For what is to be kept. @param host root's, where that differs by what is kept */
export function stateDirectory(host: string): string {
  return directory("XDG_STATE_HOME", ".local/state", host);
}

/** @param variable wins, for root as well */
function directory(variable: string, home: string, host: string): string {
  const set = absolute(variable);
  if (set !== undefined) return join(set, "icfs");
  return process.getuid!() === 0 ? host : join(homeDirectory(), home, "icfs");
}

/** Where a user's configuration is. */
export function configDirectory(): string {
  return join(absolute("XDG_CONFIG_HOME") ?? join(homeDirectory(), ".config"), "icfs");
}

/** What a variable names; a path that is not absolute is as if it were not set, as the specification has it: a daemon changes its directory. */
export function absolute(variable: string): string | undefined {
  const set = process.env[variable];
  return set && isAbsolute(set) ? set : undefined;
}

/** What nobody has who has no home, as Debian calls it: a user of a container, say, who stands in no passwd(5). */
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
 * Makes a directory, and those above it, where they are missing. Node's own recursive mkdir() says ENOENT of a disk that is read-only,
 * and in /proc it does not end.
 *
 * @returns whether it was missing
 * @throws Error with what is wrong, and of which of them
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
 * Makes a directory in one of this user's own, if need be, and makes sure that it is there and not elsewhere: whoever else may write in the
 * one above, as containers that share it, could have a link there to any directory of this host.
 *
 * @throws Error; UserError when it is a link
 */
export function makeInside(path: string): boolean {
  const isNew = makeDirectory(path, 0o700);
  if (isLink(path))
    throw new UserError(`${path} is a symbolic link: remove it (the directory above may be one)`);
  return isNew;
}

/** Whether a symbolic link has that name. */
export function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Makes a directory for this user alone, if need be. @param otherwise as of mustBeOwn(). @throws Error; UserError when it is another's */
export function makeOwnDirectory(path: string, otherwise: string): void {
  makeDirectory(path, 0o700);
  mustBeOwn(path, otherwise);
}

/**
 * Checks that a directory, if it exists, belongs to this user or to root and that nobody else can write in it. In /tmp and the like
 * another user may have made it, or a link in its place. Links that root or this user made are followed: the directory was moved
 * to another disk.
 *
 * @param otherwise what somebody is to do who cannot have it that way
 * @param nobody the bits of a mode that are not to be set
 * @throws UserError
 */
export function mustBeOwn(path: string, otherwise: string, nobody = 0o022): void {
  const link = lstatSync(path, { throwIfNoEntry: false });
  if (link === undefined) return;
  if (link.isSymbolicLink() && link.uid !== 0 && link.uid !== process.geteuid!()) {
    throw new UserError(`${path} is a symbolic link, and others may have made it: ${otherwise}`);
  }
  const found = link.isSymbolicLink() ? statSync(path) : link;
  if (!found.isDirectory()) throw new UserError(`${path} is no directory: ${otherwise}`);
  // What root has made for this user is as good.
  if (found.uid !== process.geteuid!() && found.uid !== 0) {
    throw new UserError(`${path} belongs to another user: ${otherwise}`);
  }
  if ((found.mode & nobody) !== 0) {
    throw new UserError(`others may write in ${path}: chmod 700 it, or ${otherwise}`);
  }
}

/**
 * mustBeOwn() for a directory that icfs makes itself. If it is this user's and writable by its group, the group loses that right:
 * older versions left the mode to the umask, which is 002 for many users who have a group of their own.
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
    // What is wrong is said next.
  }
  mustBeOwn(path, otherwise);
}
