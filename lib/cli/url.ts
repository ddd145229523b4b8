/** icfs url: prints the URL of a canister, or of a file in it, for HTTP clients. */
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
      "canister id, with @NUMBER for an older release or @NAME for what a channel stands for, and with a file's path: oeagv-5qaaa-aaaah-aar4q-cai@3/linux",
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
  if (/(^|\/)\.\.?(\/|$)/.test(path))
    throw new UsageError(
      `"${path}": a URL cannot have . or .. as a name: give the path from the root of the tree`,
    );
  if (channel !== undefined && !json) {
    console.error(
      "icfs: this URL redirects to the release that the channel points to; the files there are certified, the redirect is not (docs/HTTP.md)",
    );
  }
  const below = path === "" ? "/" : path;
  const at =
    release !== undefined
      ? `/.icfs/at/${release}${below}`
      : channel !== undefined
        ? `/@${channel}${below}`
        : path;
  const found = gatewayUrl(resolveNetwork(network), canister.toText(), at);
  console.log(json ? jsonLine({ canister: canister.toText(), url: found }) : found);
}
