/** The status of the ways to a canister. */
import t from "tap";
import { resolveNetwork } from "../../../lib/ic/network.ts";
import { useConnections } from "../../../lib/ic/transport/connections.ts";
import { networkStatusOf } from "../../../lib/live/report/network-status.ts";

t.test("the proxy is shown without its credentials", async (t) => {
  const proxyOf = (url: string) =>
    networkStatusOf({ network: resolveNetwork(url), rootKey: new Uint8Array() }, undefined).proxy;
  t.teardown(() => useConnections({}, false));
  useConnections({ proxy: "none" }, false);
  t.equal(proxyOf("ic"), undefined);
  useConnections({ proxy: "http://user:secret@proxy.example:3128" }, false);
  t.match(proxyOf("ic"), /^http:\/\/(?!.*secret).*proxy\.example:3128$/);
  t.equal(proxyOf("local"), undefined, "a network on this host is asked without the proxy");
});
