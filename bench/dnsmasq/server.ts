/** Stock dnsmasq on the boot server, with all three of its jobs: DHCP, DNS and TFTP, in its one loop. */
import { runDnsmasq } from "../../demo/dnsmasq.ts";
import type { Process, RunOptions } from "../../demo/process.ts";
import { DHCP_ADDRESS, DHCP_MAC, type Host, SERVER_ADDRESS, SERVER_CARD } from "./lan.ts";

/** A name that dnsmasq knows by itself. */
export const DNS_NAME = "probe.bench";

/** Returns when it serves `root`. @throws Error with dnsmasq's own words */
export function startDnsmasq(server: Host, root: string, run: RunOptions): Promise<Process> {
  const options = [
    // A line for each file and each answer would be written in the same loop.
    ...["--quiet-dhcp", "--quiet-tftp"],
    ...[`--interface=${SERVER_CARD}`, "--bind-interfaces"],
    ...["--no-resolv", "--no-hosts", `--host-record=${DNS_NAME},${SERVER_ADDRESS}`],
    // A static host is not pinged before it is offered its address, which would take 3 s.
    ...[`--dhcp-range=${SERVER_ADDRESS},static`, `--dhcp-host=${DHCP_MAC},${DHCP_ADDRESS}`],
  ];
  return runDnsmasq(server, root, options, run);
}
