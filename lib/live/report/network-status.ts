/** The status of the ways to a canister: its gateways, and the mirrors asked before them. */
import { gatewaysOf } from "../../ic/gateway/gateways.ts";
import type { Network } from "../../ic/network.ts";
import { choiceFor } from "../../ic/transport/connections.ts";
import { shownProxy } from "../../ic/transport/proxy.ts";
import type { Mirrors } from "../../source/icfs/mirrors.ts";
import type { Reported } from "./status.ts";

export function networkStatusOf(
  { network, rootKey }: { readonly network: Network; readonly rootKey: Uint8Array },
  mirrors: Mirrors | undefined,
): Pick<Reported, "network" | "proxy" | "rootKey" | "gateways" | "mirrors" | "fromNetwork" | "mirrorOnly"> {
  const { proxy } = choiceFor(new URL(network.gateways[0]!));
  return {
    network: network.url,
    proxy: proxy && shownProxy(proxy),
    rootKey,
    gateways: gatewaysOf(network).health(),
    mirrors: mirrors?.health() ?? [],
    fromNetwork: mirrors?.only === false ? mirrors.fromNetwork : undefined,
    mirrorOnly: mirrors?.only === true,
  };
}
