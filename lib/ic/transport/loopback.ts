/** Which hosts are this one. */

/** Names below localhost are left to the resolver, which may ask a server for them. @param hostname as URL has it */
export function isLoopback({ hostname }: Pick<URL, "hostname">): boolean {
  return /^127\.\d+\.\d+\.\d+$/.test(hostname) || hostname === "[::1]" || hostname === "localhost";
}
