/** Runs stock dnsmasq on the boot server with all three of its jobs, DHCP, DNS and TFTP, in one loop. */
import { runDnsmasq } from "../../demo/dnsmasq.ts";
import type { Process, RunOptions } from "../../demo/process.ts";
import { DHCP_ADDRESS, DHCP_MAC, type Host, SERVER_ADDRESS, SERVER_CARD } from "./lan.ts";

/** A name that dnsmasq resolves by itself. */
export const DNS_NAME = "probe.bench";

/** Starts dnsmasq. Resolves when it serves `root`. @param more additional options @throws Error with dnsmasq's own message */
export function startDnsmasq(
  server: Host,
  root: string,
  run: RunOptions,
  more: readonly string[] = [],
): Promise<Process> {
  const options = [
    // Log lines for each file and answer would be written in the same loop.
    ...["--quiet-dhcp", "--quiet-tftp"],
    ...[`--interface=${SERVER_CARD}`, "--bind-interfaces"],
    ...["--no-resolv", "--no-hosts", `--host-record=${DNS_NAME},${SERVER_ADDRESS}`],
    // dnsmasq does not ping a static host before it offers the address, which would take 3 s.
    ...[`--dhcp-range=${SERVER_ADDRESS},static`, `--dhcp-host=${DHCP_MAC},${DHCP_ADDRESS}`],
    ...more,
  ];
  return runDnsmasq(server, root, options, run);
}
