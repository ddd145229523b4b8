/** The URLs of a canister's pages at a network's HTTP gateway, for browsers, firmware and curl. */
import { isIP } from "node:net";
import type { Network } from "../network.ts";

/** The main network's gateway; its API is elsewhere, under these names. */
const IC_GATEWAY = "icp0.io";
const IC_HOSTS = new Set(["icp-api.io", "icp0.io", "ic0.app"]);

/**
 * The URL of a path: below https://CANISTER.icp0.io on the main network, and http://CANISTER.localhost:PORT on this host. Any other
 * network's gateway is assumed to be where its API is, and to find the canister by the first label of the host, or by `?canisterId=` where
 * the host is an address. Of several gateways the first one is used.
 *
 * @param path with or without a slash before it; not encoded. Empty names in it are left out, except that a slash at its end stays
 */
export function gatewayUrl({ name, gateways, loopback }: Network, canister: string, path: string): string {
  const { protocol, hostname, port } = new URL(gateways[0]!);
  const behind = encodePath(path);
  if (name === "ic" || IC_HOSTS.has(hostname)) return `https://${canister}.${IC_GATEWAY}${behind}`;
  const portBehind = port === "" ? "" : `:${port}`;
  if (loopback) return `${protocol}//${canister}.localhost${portBehind}${behind}`;
  const isAddress = isIP(hostname.replace(/^\[|\]$/g, "")) !== 0;
  if (isAddress) return `${protocol}//${hostname}${portBehind}${behind}?canisterId=${canister}`;
  return `${protocol}//${canister}.${hostname}${portBehind}${behind}`;
}

function encodePath(path: string): string {
  const names = path.split("/").filter((name) => name !== "");
  const end = names.length > 0 && path.endsWith("/") ? "/" : "";
  return `/${names.map(encodeURIComponent).join("/")}${end}`;
}
