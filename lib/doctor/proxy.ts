/** Which proxy icfs uses for the network, and whether it lets requests through. */
import { messageOf } from "../errors.ts";
import { hintFor } from "../ic/network-problem.ts";
import { choiceFor, secureContext } from "../ic/transport/connections.ts";
import { shownProxy } from "../ic/transport/proxy.ts";
import { openTunnel } from "../ic/transport/tunnel.ts";
import { type Check, type Finding, fail, ok, warn } from "./check.ts";

/** Milliseconds, as for the network's status. */
const LIMIT_MS = 5000;

export const proxy: Check = {
  name: "proxy",
  async run({ network }) {
    const ways = await Promise.all(network.gateways.map(wayTo));
    // The other gateways are enough.
    const isThere = ways.some((found) => found.every(({ level }) => level === "ok"));
    return ways.flat().map((one) => (isThere && one.level === "fail" ? warn(one.message, one.advice!) : one));
  },
};

async function wayTo(gateway: string): Promise<Finding[]> {
  const target = new URL(gateway);
  const { proxy, because } = choiceFor(target);
  if (because !== undefined) return [ok(`none for ${gateway}: ${because}`)];
  if (proxy === undefined) return [];
  const name = `${shownProxy(proxy)} (${proxy.from})`;
  // Mounts do not have the environment of whoever runs this.
  const others = proxy.from.startsWith("--proxy")
    ? ""
    : "; a mount by mount(8) takes proxy= in /etc/fstab, and icfs@.service the variables in its file";
  const said = ok(`${gateway} is asked through ${name}${others}`);
  // Without TLS there is no tunnel to test: the network's check makes a request.
  if (target.protocol === "http:") return [said];
  const signal = AbortSignal.timeout(LIMIT_MS);
  try {
    const authority = `${target.hostname}:${target.port || 443}`;
    const tunnel = await openTunnel(proxy, authority, secureContext(), signal);
    tunnel.destroy();
  } catch (error) {
    const late = `the proxy ${name} says nothing within ${LIMIT_MS / 1000} s`;
    return [fail(signal.aborted ? late : messageOf(error), hintFor(error) ?? `correct ${proxy.from}`)];
  }
  return [said];
}
