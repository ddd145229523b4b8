/** What a status tells of the ways to a canister: gateways, and the mirrors before them. */
import { gatewaysOf } from "../ic/gateway/gateways.ts";
import type { Network } from "../ic/network.ts";
import type { Mirrors } from "../source/icfs/mirrors.ts";
import type { Reported } from "./report/status.ts";

export function waysTo(
  { network, rootKey }: { readonly network: Network; readonly rootKey: Uint8Array },
  mirrors: Mirrors | undefined,
): Pick<Reported, "network" | "rootKey" | "gateways" | "mirrors" | "fromNetwork" | "mirrorOnly"> {
  return {
    network: network.url,
    rootKey,
    gateways: gatewaysOf(network).health(),
    mirrors: mirrors?.health() ?? [],
    fromNetwork: mirrors?.only === false ? mirrors.fromNetwork : undefined,
    mirrorOnly: mirrors?.only === true,
  };
}
