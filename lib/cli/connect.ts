/** Resolves options and arguments: a network with its root key, an identity, and canisters on the network. */
import { UsageError } from "../errors.ts";
import { parseCanisterId } from "../ic/canister-id.ts";
import { mustAnswer } from "../ic/first-contact.ts";
import { gatewaysOf } from "../ic/gateway/gateways.ts";
import { resolveNetwork, rootKeyOf } from "../ic/network.ts";
import type { CanisterAddress, ReleaseAddress } from "../source/address.ts";
import { parseRelease } from "./addresses.ts";
import type { MirrorOptions, NetworkOptions } from "./options.ts";
import { givenIdentity } from "./signer.ts";

/**
 * Resolves the options. The root key of a loopback network is fetched from it.
 *
 * @throws UserError, within seconds when the network does not answer
 */
export async function connect(options: NetworkOptions): Promise<Connection> {
  const connection = await resolveConnection(options);
  const { network, rootKey } = connection;
  // Fetching the root key has shown that the network answers.
  if (network.loopback && options.rootKey === undefined) return connection;
  for (const url of await mustAnswer(network, rootKey)) {
    const why = "its root key is another: it belongs to another network";
    gatewaysOf(network).wrong(url, why);
    console.error(`icfs: ${url} is asked last: ${why}`);
  }
  return connection;
}

/** connect(), for commands that can do without the network: only an unknown root key is fetched. */
export async function resolveConnection(
  options: NetworkOptions & Partial<MirrorOptions>,
): Promise<Connection> {
  const network = resolveNetwork(options.network);
  if (options.mirrorOnly && network.loopback && options.rootKey === undefined) {
    throw new UsageError(
      `the root key of ${network.url} is not known, and --mirror-only asks no network: give it with --root-key HEX|FILE`,
    );
  }
  const identity = await givenIdentity(options);
  const rootKey = await rootKeyOf(network, options.rootKey);
  return { network, rootKey, ...(identity === undefined ? {} : { identity }) };
}

type Connection = Omit<CanisterAddress, "canister">;

/** connect(), for one canister. @throws UserError */
export async function canisterAddressOf(
  canisterId: string,
  options: NetworkOptions,
): Promise<CanisterAddress> {
  const canister = parseCanisterId(canisterId);
  return { ...(await connect(options)), canister };
}

/** connect(), for one release. With mirrors it is resolveConnection(), since the network may be down. @throws UserError */
export async function releaseAddressOf(
  text: string,
  options: NetworkOptions & Partial<MirrorOptions>,
): Promise<ReleaseAddress> {
  const parsed = parseRelease(text);
  const connection = options.mirror === undefined ? connect(options) : resolveConnection(options);
  return { ...(await connection), ...parsed };
}

/** How long interactive commands wait for one answer: a chunk of 1 MiB at 32 KiB/s. */
export const REQUEST_TIMEOUT_MS = 30_000;
