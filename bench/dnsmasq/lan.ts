/**
 * A boot server and a client on a network of their own: two namespaces, joined by a pair of virtual network cards, without a
 * connection to anything else.
 */
import { run } from "../../demo/process.ts";

/** Arbitrary addresses, since the network is isolated. */
export const SERVER_ADDRESS = "192.168.7.1";
const CLIENT_ADDRESS = "192.168.7.2";
/** The MAC that dnsmasq offers an address to. No machine has it; it only appears in requests. */
export const DHCP_MAC = "52:54:00:69:63:66";
export const DHCP_ADDRESS = "192.168.7.3";
/** The server's card. */
export const SERVER_CARD = "server0";
const CLIENT_CARD = "client0";

export interface Host {
  /** The command line that runs a program on this host. */
  inside(command: string, args: readonly string[]): [string, string[]];
}

export interface Lan extends AsyncDisposable {
  readonly server: Host;
  readonly client: Host;
}

/** Makes both hosts. Disposing removes them; end the processes inside first. @throws Error with the output of `ip`; then nothing is left */
export async function makeLan(name: string): Promise<Lan> {
  await using stack = new AsyncDisposableStack();
  const hosts: string[] = [];
  for (const host of [`${name}-server`, `${name}-client`]) {
    // Without the signal: an interrupted `ip` may or may not have done its work.
    await run("ip", ["netns", "add", host]);
    stack.defer(async () => void (await run("ip", ["netns", "delete", host])));
    hosts.push(host);
  }
  const [server, client] = hosts as [string, string];
  await run("ip", [
    ...["-n", server, "link", "add", SERVER_CARD, "type", "veth"],
    ...["peer", "name", CLIENT_CARD, "netns", client],
  ]);
  for (const [host, card, address] of [
    [server, SERVER_CARD, SERVER_ADDRESS],
    [client, CLIENT_CARD, CLIENT_ADDRESS],
  ] as const) {
    await run("ip", ["-n", host, "address", "add", `${address}/24`, "dev", card]);
    await run("ip", ["-n", host, "link", "set", card, "up"]);
  }
  const all = stack.move();
  const inside = (host: string): Host => ({
    // Not `ip netns exec`: it makes a mount namespace too, in which a mount stays alive when the host unmounts it.
    inside: (command, args) => ["nsenter", [`--net=/run/netns/${host}`, "--", command, ...args]],
  });
  return {
    server: inside(server),
    client: inside(client),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}
