/** The part of `icfs mount` that runs in the process that serves the mount. */
import { resolve } from "node:path";
import { openDiskStore } from "../cache/disk-store.ts";
import { messageOf } from "../errors.ts";
import { chooseTransport } from "../fs/choose-transport.ts";
import { NoAnswerError } from "../ic/call-errors.ts";
import { unreachable, withHint } from "../ic/first-contact.ts";
import { resolveNetwork } from "../ic/network.ts";
import type { MountDescription } from "../live/report/status.ts";
import { createLog, type Log, limitRepeats } from "../log.ts";
import { runMount } from "../mount/run-mount.ts";
import { isBackgroundChild, notifyFailed, notifyWaiting } from "../process/daemon.ts";
import { LogFile } from "../process/log-file.ts";
import { AccessLog } from "../serve/access-log.ts";
import { addressWithKeptKey } from "./kept-key.ts";
import { mirrorsOf } from "./mirrors.ts";
import type { MountCommandOptions } from "./mount-options.ts";

/**
 * Serves the mount until it ends.
 *
 * @param ready called with a description of the mount once readers can use it
 * @throws UserError, which the waiting process has been told
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
        : // The daemon changes its working directory.
          openDiskStore(resolve(options.cacheDir), options.maxCacheSize, log);
    await runMount(
      () => addressWithKeptKey(canister, options, store),
      {
        ...options,
        mountpoint,
        mount: { ...options, source: canister },
        source: options.source,
        transport: await chooseTransport(options.transport),
        store,
        waiting: notifyWaiting,
        openWhole: options.open === "whole" ? options.openTimeout : undefined,
        mirrors: mirrorsOf(options),
        allChannels: options.allChannels === true,
        offline: options.offline === true,
        listXattrs: options.listXattrs === true,
        // The daemon changes its working directory.
        statsFile: options.statsFile === undefined ? undefined : resolve(options.statsFile),
        metrics: options.metrics,
        serve: options.serve,
        accessLog:
          options.serve === undefined || options.accessLog === undefined
            ? undefined
            : new AccessLog(resolve(options.accessLog), log),
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

/** The log of the mount: the daemon's file, reopened on SIGHUP, or stderr. */
function daemonLog({ logLevel, logFile }: MountCommandOptions): Log {
  if (!isBackgroundChild()) {
    // If the disk is full or the pipe is closed, lines are lost, but the mount goes on.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
    return limitRepeats(createLog(logLevel));
  }
  // The daemon changes its working directory.
  const file = new LogFile(resolve(logFile));
  const log = limitRepeats(createLog(logLevel, (line) => file.write(line)));
  // Registered first: other handlers of the signal may write to the log.
  process.on("SIGHUP", () => {
    try {
      file.reopen();
    } catch (error) {
      log.error(
        `cannot reopen the log (${messageOf(error)}): the old file stays in use until the next SIGHUP`,
      );
    }
  });
  return log;
}
