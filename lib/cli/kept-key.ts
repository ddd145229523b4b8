/** The address of a canister on a network that may be down. */
import { NetworkUnreachableError, resolveNetwork } from "../ic/network.ts";
import type { ReleaseAddress } from "../source/address.ts";
import { type BlobStore, keepRootKey, keptRootKey } from "../source/kept.ts";
import { parseRelease } from "./addresses.ts";
import { resolveConnection } from "./connect.ts";
import type { ReadingOptions } from "./options.ts";

interface KeptKeyOptions extends ReadingOptions {
  readonly offline?: boolean;
}

/**
 * Resolves the canister's address. The network is asked for nothing except the root key of a loopback network. If it does not
 * answer, the key that it had last is used: only data certified with that key is served.
 *
 * @param store keeps the key for the next time; undefined: it is not kept
 * @throws UserError when the key is not kept, and the network does not answer; UsageError
 */
export async function addressWithKeptKey(
  text: string,
  options: KeptKeyOptions,
  store: BlobStore | undefined,
): Promise<ReleaseAddress> {
  const network = resolveNetwork(options.network);
  const isFetched = network.loopback && options.rootKey === undefined;
  const kept = isFetched && store !== undefined ? await keptRootKey(store, network) : undefined;
  if (kept !== undefined && (options.offline || options.mirrorOnly)) {
    return addressOf(text, { ...options, rootKey: kept });
  }
  try {
    const address = await addressOf(text, options);
    if (isFetched && store !== undefined) await keepRootKey(store, network, address.rootKey);
    return address;
  } catch (error) {
    if (kept === undefined || !(error instanceof NetworkUnreachableError)) throw error;
    return addressOf(text, { ...options, rootKey: kept });
  }
}

async function addressOf(text: string, options: KeptKeyOptions): Promise<ReleaseAddress> {
  const parsed = parseRelease(text);
  return { ...(await resolveConnection(options)), ...parsed };
}
