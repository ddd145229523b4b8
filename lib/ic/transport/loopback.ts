/** Recognizes the names and addresses of this host. */
import { lookup } from "node:dns";
import type { LookupFunction } from "node:net";

/** Whether a URL's host is this one. It is not looked up. @param hostname as in a URL, with brackets around an IPv6 address */
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
 * dns.lookup(), except that names below localhost mean this host without a query (RFC 6761, 6.3), as in curl and browsers: resolvers
 * differ, and local networks have each canister at such a name.
 */
export const lookupHost: LookupFunction = (hostname, options, callback) =>
  lookup(isBelowLocalhost(hostname) ? "localhost" : hostname, options, callback);
