/** What `icfs mount` does in the process that serves the mount. */
import { resolve } from "node:path";
import { type DiskStore, openDiskStore } from "../cache/disk-store.ts";
import { messageOf } from "../errors.ts";
import { chooseTransport } from "../fs/choose-transport.ts";
import { NetworkUnreachableError, resolveNetwork } from "../ic/network.ts";
import { createLog, limitRepeats } from "../log.ts";
import type { MountDescription } from "../mount/report/status.ts";
import { serveMount } from "../mount/serve.ts";
import { notifyFailed } from "../process/daemon.ts";
import type { ReleaseAddress } from "../source/address.ts";
import { keepRootKey, keptRootKey } from "../source/kept.ts";
import { releaseAddressOf } from "./addresses.ts";
import type { MountCommandOptions } from "./mount-options.ts";

/**
 * Serves the mount until it ends. @param ready gets what was mounted, once readers can use it
 * @throws UserError, which the process that waits has been told of
 */
export async function serveHere(
  canister: string,
  mountpoint: string,
  options: MountCommandOptions,
  notifySocket: string | undefined,
  ready: (mounted: MountDescription) => Promise<void>,
): Promise<void> {
  try {
    const log = limitRepeats(createLog(options.logLevel));
    const store =
      options.maxCacheSize === 0
        ? undefined
        : // The daemon leaves this directory.
          openDiskStore(resolve(options.cacheDir), options.maxCacheSize, log);
    await serveMount(
      () => addressWithKeptKey(canister, options, store),
      {
        ...options,
        mountpoint,
        mount: { ...options, source: canister },
        source: options.source,
        transport: chooseTransport(options.transport),
        store,
        openWhole: options.open === "whole" ? options.openTimeout : undefined,
        offline: options.offline === true,
        listXattrs: options.listXattrs === true,
        // The daemon leaves this directory.
        statsFile: options.statsFile === undefined ? undefined : resolve(options.statsFile),
        metrics: options.metrics,
        notifySocket,
        log,
      },
      ready,
    );
  } catch (error) {
    await notifyFailed(new Error(messageOf(error)));
    throw error;
  }
}

/**
 * The canister's address. A loopback network's root key is fetched from it; when that does not answer, what it was the
 * last time will do: whatever it is, only what it has certified is served.
 */
async function addressWithKeptKey(
  text: string,
  options: MountCommandOptions,
  store: DiskStore | undefined,
): Promise<ReleaseAddress> {
  const network = resolveNetwork(options.network);
  const isFetched = network.loopback && options.rootKey === undefined;
  const kept = isFetched && store !== undefined ? await keptRootKey(store, network.url) : undefined;
  if (kept !== undefined && options.offline) {
    return releaseAddressOf(text, { ...options, rootKey: kept });
  }
  try {
    const address = await releaseAddressOf(text, options);
    if (isFetched && store !== undefined) await keepRootKey(store, network.url, address.rootKey);
    return address;
  } catch (error) {
    if (kept === undefined || !(error instanceof NetworkUnreachableError)) throw error;
    return releaseAddressOf(text, { ...options, rootKey: kept });
  }
}
