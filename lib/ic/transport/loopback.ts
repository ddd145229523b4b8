/** Which hosts are this one. */
import { lookup } from "node:dns";
import type { LookupFunction } from "node:net";

/** @param hostname as URL has it */
export function isLoopback({ hostname }: Pick<URL, "hostname">): boolean {
  return (
    /^127\.\d+\.\d+\.\d+$/.test(hostname) ||
    hostname === "[::1]" ||
    hostname === "localhost" ||
    isBelowLocalhost(hostname)
  );
}

function isBelowLocalhost(hostname: string): boolean {
  return hostname.endsWith(".localhost");
}

/**
 * dns.lookup(), but that names below localhost are this host without asking anybody (RFC 6761, 6.3), as for curl and browsers: resolvers
 * differ, and local networks have each canister at such a name.
 */
export const lookupHost: LookupFunction = (hostname, options, callback) =>
  lookup(isBelowLocalhost(hostname) ? "localhost" : hostname, options, callback);
