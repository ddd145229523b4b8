/** icfs url: the URL of a canister, or of a file in it, for HTTP clients. */
import { Command } from "commander";
import { UsageError } from "../errors.ts";
import { gatewayUrl } from "../ic/gateway/gateway-url.ts";
import { resolveNetwork } from "../ic/network.ts";
import { jsonLine } from "../log.ts";
import { parseRelease } from "./addresses.ts";
import { flag, type NetworkOptions, networkOption } from "./options.ts";

type UrlOptions = Pick<NetworkOptions, "network"> & { readonly json?: boolean };

export function urlCommand(): Command {
  return new Command("url")
    .description(
      "print the URL of a canister, or of a file in it, for HTTP clients; sends nothing to the network",
    )
    .argument(
      "<canister[/path]>",
      "canister id, with @NUMBER for an older release, and with a file's path: oeagv-5qaaa-aaaah-aar4q-cai@3/linux",
    )
    .addOption(networkOption())
    .addOption(flag("--json", "print one object: canister, url"))
    .action(url);
}

function url(argument: string, { network, json }: UrlOptions): void {
  const slash = argument.indexOf("/");
  const name = slash < 0 ? argument : argument.slice(0, slash);
  const path = slash < 0 ? "" : argument.slice(slash);
  const { canister, release, channel } = parseRelease(name);
  if (channel !== undefined) {
    throw new UsageError(
      `a channel has no URL of its own: \`icfs channel ${canister} ${channel}\` says for which release it stands, and that has, as ${canister}@NUMBER`,
    );
  }
  if (/(^|\/)\.\.?(\/|$)/.test(path))
    throw new UsageError(
      `"${path}": a URL cannot have . or .. as a name: give the path from the root of the tree`,
    );
  const below = release === undefined ? path : `/.icfs/at/${release}${path === "" ? "/" : path}`;
  const found = gatewayUrl(resolveNetwork(network), canister.toText(), below);
  console.log(json ? jsonLine({ canister: canister.toText(), url: found }) : found);
}
