/** What `icfs mount` does in the process that serves the mount. */
import { resolve } from "node:path";
import { openDiskStore } from "../cache/disk-store.ts";
import { messageOf } from "../errors.ts";
import { chooseTransport } from "../fs/choose-transport.ts";
import { NoAnswerError } from "../ic/call-errors.ts";
import { unreachable, withHint } from "../ic/first-contact.ts";
import { resolveNetwork } from "../ic/network.ts";
import { createLog, type Log, limitRepeats } from "../log.ts";
import type { MountDescription } from "../mount/report/status.ts";
import { runMount } from "../mount/run-mount.ts";
import { isBackgroundChild, notifyFailed, notifyWaiting } from "../process/daemon.ts";
import { LogFile } from "../process/log-file.ts";
import { addressWithKeptKey } from "./kept-key.ts";
import { mirrorsOf } from "./mirrors.ts";
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
    const log = daemonLog(options);
    const store =
      options.maxCacheSize === 0
        ? undefined
        : // The daemon leaves this directory.
          openDiskStore(resolve(options.cacheDir), options.maxCacheSize, log);
    await runMount(
      () => addressWithKeptKey(canister, options, store),
      {
        ...options,
        mountpoint,
        mount: { ...options, source: canister },
        source: options.source,
        transport: chooseTransport(options.transport),
        store,
        waiting: notifyWaiting,
        openWhole: options.open === "whole" ? options.openTimeout : undefined,
        mirrors: mirrorsOf(options),
        offline: options.offline === true,
        listXattrs: options.listXattrs === true,
        // The daemon leaves this directory.
        statsFile: options.statsFile === undefined ? undefined : resolve(options.statsFile),
        metrics: options.metrics,
        serve: options.serve,
        notifySocket,
        log,
      },
      ready,
    );
  } catch (error) {
    const { network, mirrorOnly } = options;
    const isNetworks = error instanceof NoAnswerError && mirrorOnly !== true;
    const known = isNetworks ? unreachable(resolveNetwork(network), error) : error;
    const told = await withHint(known);
    await notifyFailed(told);
    throw told;
  }
}

/** Where the mount's events go: the daemon's file, opened anew on SIGHUP, or stderr. */
function daemonLog({ logLevel, logFile }: MountCommandOptions): Log {
  if (!isBackgroundChild()) {
    // A disk that is full, or a pipe that nobody reads any more, costs lines: the mount goes on.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
    return limitRepeats(createLog(logLevel));
  }
  // The daemon leaves this directory.
  const file = new LogFile(resolve(logFile));
  const log = limitRepeats(createLog(logLevel, (line) => file.write(line)));
  // Before others hear of the signal, who may have something to say.
  process.on("SIGHUP", () => {
    try {
      file.reopen();
    } catch (error) {
      log.error(
        `cannot open the log anew (${messageOf(error)}): it goes on in the old file, until the next SIGHUP`,
      );
    }
  });
  return log;
}
