/** Where a user's or the host's files are, by the XDG Base Directory Specification; root's are the host's. */
import { homedir } from "node:os";
import { join } from "node:path";

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
