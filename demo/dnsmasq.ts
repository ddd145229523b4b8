/** Stock dnsmasq as a boot server: DHCP for one machine, and TFTP from a directory, as user nobody. */
import { statSync } from "node:fs";
import { join, relative } from "node:path";
import { GUEST_ADDRESS, GUEST_MAC, HOST_ADDRESS, IPV6_PREFIX, type Namespace, TAP } from "./namespace.ts";
import { Process, type RunOptions } from "./process.ts";

/**
 * Starts dnsmasq in the namespace, with `root` as TFTP root and pxelinux.0 as boot file, and resolves when it serves.
 *
 * @param root undefined when another server at the same address has the files
 * @param more additional options
 * @throws Error with dnsmasq's own message, such as when user nobody cannot open `root`
 */
export async function startDnsmasq(
  namespace: Namespace,
  root: string | undefined,
  { env, signal }: RunOptions = {},
  more: readonly string[] = [],
): Promise<Process> {
  const options = [
    "--port=0", // no DNS
    `--interface=${TAP}`,
    "--bind-dynamic",
    // dnsmasq does not ping a static host before it offers the address, which would take 3 s.
    `--dhcp-range=${HOST_ADDRESS},static`,
    `--dhcp-host=${GUEST_MAC},${GUEST_ADDRESS}`,
    "--enable-ra",
    `--dhcp-range=${IPV6_PREFIX},ra-only`,
    ...more,
  ];
  return runDnsmasq(namespace, root, options, { env, signal });
}

/**
 * Runs dnsmasq with the options of every boot server, and others. The host's own configuration is neither read nor written.
 * Resolves when it serves.
 *
 * @throws Error with dnsmasq's own message
 */
export async function runDnsmasq(
  place: Pick<Namespace, "inside">,
  root: string | undefined,
  more: readonly string[],
  { env, signal }: RunOptions,
): Promise<Process> {
  const options = [
    ...["--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-", "--pid-file=", "--leasefile-ro"],
    ...["--user=nobody", "--group=nogroup", ...more],
    "--dhcp-boot=pxelinux.0",
    ...(root === undefined ? [] : ["--enable-tftp", `--tftp-root=${root}`]),
  ];
  const serves = root === undefined ? /DHCP, static leases/ : /TFTP root is/;
  const dnsmasq = new Process(...place.inside("dnsmasq", options), env);
  try {
    await dnsmasq.until(serves, { seconds: 20, signal });
  } catch (error) {
    await dnsmasq.stop();
    throw error;
  }
  return dnsmasq;
}

/**
 * The files below `root` that dnsmasq has sent completely, by name and in order, once for each transfer, and their total size.
 */
export function filesSent(log: string, root: string): { names: string[]; bytes: number } {
  const names = namesSent(log, root);
  return { names, bytes: names.reduce((sum, name) => sum + statSync(join(root, name)).size, 0) };
}

/** Their names alone. @param root as dnsmasq sees it; here its path may differ */
export function namesSent(log: string, root: string): string[] {
  return [...log.matchAll(/: sent (.+) to [0-9a-f.:]+$/gm)].map((match) => relative(root, match[1]!));
}
