/** A mount from its start to its end within one process: signals, and what happens to the mount when things go wrong. */

import type { Log } from "../log.ts";
import { exitProcess } from "./exit.ts";

/** A live mount, as this module needs it (lib/fs/transport.ts). */
export interface Mounted {
  readonly mount: { readonly mountpoint: string };
  /** Resolves with the reason when the mount is gone and no reader is left. */
  readonly ended: Promise<string>;
  /** Unmounts. */
  unmount(): Promise<void>;
}

export interface Lifetime<M extends Mounted> {
  /**
   * Makes the mount. From then on, signals unmount; before, they just end the process.
   *
   * @param stopped a signal has arrived meanwhile, so waiting can stop
   */
  readonly mount: (stopped: AbortSignal) => Promise<M>;
  /** Called once readers can use the mount; may take its time. If it fails, the mount is unmounted again. */
  readonly ready: (mounted: M) => Promise<void>;
  readonly log: Log;
}

const SIGNALS = ["SIGTERM", "SIGINT"] as const;
// A second signal means that somebody has lost patience.
const IMPATIENT_EXIT_CODE = 1;

/**
 * Mounts, and resolves when the mount has ended: by SIGTERM, SIGINT or somebody's umount. The caller then
 * calls exitProcess(), since a transport's threads may keep the process alive.
 *
 * An uncaught error also unmounts, and exits with 1: a dead mount would answer "Transport
 * endpoint is not connected" until somebody cleans up.
 *
 * @throws what `mount` or `ready` throws, or when unmounting fails
 */
export async function serveUntilUnmounted<M extends Mounted>({
  mount,
  ready,
  log,
}: Lifetime<M>): Promise<Awaited<M["ended"]>> {
  const stop = Promise.withResolvers<NodeJS.Signals>();
  const stopping = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopping.signal.aborted) exitProcess(IMPATIENT_EXIT_CODE);
    stopping.abort();
    stop.resolve(signal);
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    const mounted = await mount(stopping.signal);
    const crash = (error: unknown) => {
      log.error(`unexpected error, unmounting: ${error instanceof Error ? error.stack : error}`);
      mounted.unmount().finally(() => exitProcess(1));
    };
    process.on("uncaughtException", crash);
    const over = Promise.race([stop.promise, mounted.ended]);
    try {
      // A signal while mounting: the mount is about to go, so it is not reported.
      if (!stopping.signal.aborted) await Promise.race([ready(mounted), over]);
    } catch (error) {
      await mounted.unmount();
      throw error;
    }
    const first = await over;
    if (first === "SIGTERM" || first === "SIGINT") {
      log.info(`${first}: unmounting ${mounted.mount.mountpoint}`);
      await mounted.unmount();
    }
    const reason = (await mounted.ended) as Awaited<M["ended"]>;
    log.info(`${mounted.mount.mountpoint}: ${reason}`);
    process.off("uncaughtException", crash);
    return reason;
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}
