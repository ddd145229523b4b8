/** A canister's address on a network that need not answer. */
import { NetworkUnreachableError, resolveNetwork } from "../ic/network.ts";
import type { ReleaseAddress } from "../source/address.ts";
import { type BlobStore, keepRootKey, keptRootKey } from "../source/kept.ts";
import { parseRelease, resolveConnection } from "./addresses.ts";
import type { ReadingOptions } from "./options.ts";

interface KeptKeyOptions extends ReadingOptions {
  readonly offline?: boolean;
}

/**
 * The canister's address, found without asking the network for more than its root key. A loopback network's root key is fetched from it; when that does not answer, what it was the
 * last time will do: whatever it is, only what it has certified is served.
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
