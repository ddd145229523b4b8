/** Where a user's or the host's files are, by the XDG Base Directory Specification (root's are the host's), and how they are made. */
import { mkdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

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
  const set = process.env[variable];
  if (set) return join(set, "icfs");
  return process.getuid!() === 0 ? host : join(homedir(), home, "icfs");
}

/**
 * Makes a directory, and those above it, where they are missing. Node's own recursive mkdir() says ENOENT of a disk that is read-only,
 * and in /proc it does not end.
 *
 * @throws Error with what is wrong, and of which of them
 */
export function makeDirectory(path: string, mode?: number): void {
  try {
    makeOne(path, mode);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || dirname(path) === path) throw error;
    makeDirectory(dirname(path), mode);
    makeOne(path, mode);
  }
}

function makeOne(path: string, mode: number | undefined): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === "EEXIST" && isDirectory(path);
    if (!isThere) throw error;
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
