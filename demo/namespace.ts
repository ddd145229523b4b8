/**
 * A network of its own for the demo: a namespace with one tap device, which connects this host and the virtual machine. It is
 * isolated from all other networks.
 */
import { run } from "./process.ts";

/** The tap device; each namespace has its own, so the name can always be the same. */
export const TAP = "tap0";
/** Arbitrary addresses, since the network is isolated. */
export const HOST_ADDRESS = "192.168.7.1";
export const GUEST_ADDRESS = "192.168.7.2";
export const GUEST_MAC = "52:54:00:69:63:66";
/** A private IPv6 prefix, for the router advertisement that iPXE waits 13 s for. */
export const IPV6_PREFIX = "fd69:6366:7300::";

export interface Namespace extends AsyncDisposable {
  name: string;
  /** The command line that runs `command` inside. */
  inside(command: string, args: string[]): [string, string[]];
}

/**
 * Makes the namespace `name`; disposing removes it (end the processes inside first).
 *
 * @throws Error with the output of `ip`; then nothing is left.
 */
export async function makeNamespace(name: string): Promise<Namespace> {
  // Without the signal: this is quick, and an interrupted `ip` may or may not have done its work.
  await run("ip", ["netns", "add", name]);
  const remove = async () => void (await run("ip", ["netns", "delete", name]));
  try {
    for (const line of [
      "link set lo up",
      `tuntap add ${TAP} mode tap`,
      `address add ${HOST_ADDRESS}/24 dev ${TAP}`,
      `address add ${IPV6_PREFIX}1/64 dev ${TAP} nodad`,
      `link set ${TAP} up`,
    ]) {
      await run("ip", ["-n", name, ...line.split(" ")]);
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    name,
    // Not `ip netns exec`: it makes a mount namespace too, in which a mount stays alive when the host unmounts it.
    inside: (command, args) => ["nsenter", [`--net=/run/netns/${name}`, "--", command, ...args]],
    [Symbol.asyncDispose]: remove,
  };
}
