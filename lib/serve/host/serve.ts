/** Runs `icfs serve` from start to end: fetches the first release completely, then answers requests until a signal ends it. */
import type { ListenAddress } from "../../bounded-server.ts";
import { BlsThread } from "../../ic/certificate/bls-thread.ts";
import { gatewaysOf } from "../../ic/gateway/gateways.ts";
import { openFirst } from "../../live/first-release.ts";
import { openKnown, type ReadingOptions } from "../../live/open-known.ts";
import { untilNetworkAnswers } from "../../live/outage.ts";
import { serveHostControl } from "../../live/report/control.ts";
import type { ReleaseDescription, ServingStatus } from "../../live/report/status.ts";
import { ServiceManager } from "../../live/report/systemd.ts";
import { answerSignals } from "../../live/signals.ts";
import { exitProcess } from "../../process/exit.ts";
import type { ReleaseAddress } from "../../source/address.ts";
import { namedInWords } from "../../source/words.ts";
import { listenForSite, SITE } from "../server.ts";
import { Waits } from "../waits.ts";
import { CacheHost, type CacheHostOptions } from "./cache-host.ts";

export interface ServeOptions extends Omit<CacheHostOptions, "waits">, Omit<ReadingOptions, "store"> {
  readonly listen: ListenAddress;
  /** Milliseconds to keep trying while the network does not answer and nothing is kept. */
  readonly retry: number;
  readonly metrics: ListenAddress | undefined;
  /** Where a service manager listens; undefined: nowhere. */
  readonly notifySocket: string | undefined;
}

/** The report once others are served. */
export interface ServeDescription extends ReleaseDescription {
  readonly url: string;
}

/**
 * Serves a canister's releases until SIGTERM or SIGINT; answers in progress then get some seconds to finish. The address is
 * resolved inside, so that a signal interrupts that as well, and so that it is tried again while the network does not answer.
 *
 * @param ready called once the release is complete and others get it
 * @throws UserError, VerificationError, ... when it cannot be served
 */
export async function serveCanister(
  resolveAddress: () => Promise<ReleaseAddress>,
  options: ServeOptions,
  ready: (served: ServeDescription) => void,
): Promise<void> {
  const { log, store, mirrors } = options;
  const signals = stopSignals();
  const waits = new Waits();
  let host: CacheHost | undefined;
  answerSignals(() => host);
  const server = await listenForSite(options.listen, "--listen", () => host?.site, log, waits);
  const status = (): ServingStatus | undefined => host?.status(server.status());
  const manager =
    options.notifySocket === undefined ? undefined : new ServiceManager(options.notifySocket, log);
  manager?.follow(status);
  const control = serveHostControl(status, log);
  const thread = new BlsThread();
  let metrics: { close(): void } | undefined;
  try {
    if (options.metrics !== undefined) {
      const { serveMetrics } = await import("../../live/report/metrics.ts");
      metrics = await serveMetrics(options.metrics, status, log);
    }
    const start = async () => {
      if (mirrors !== undefined) mirrors.tell = (event) => log.warn(event);
      const open = async () => {
        const address = await resolveAddress();
        gatewaysOf(address.network).tell = (event) => log.warn(event);
        const source = await openKnown(address, options, () => thread.verify);
        const from = { address, source };
        return { from, first: await openFirst(from, options) };
      };
      const waiting = { retry: options.retry, waiting: undefined, log };
      const { from, first } = await untilNetworkAnswers(open, waiting, signals.stopped);
      host = new CacheHost(from, first, { ...options, waits });
      thread.start();
      host.follow();
      waits.came(SITE);
      await host.ready();
    };
    const started = start();
    // After a signal nobody handles this error.
    started.catch(() => {});
    const signal = await Promise.race([signals.signal, started]);
    if (signal === undefined) {
      const served = { ...host!.describe(), url: server.url };
      log.info(`${namedInWords(served)} of ${served.canister} is all here, and served at ${server.url}`);
      ready(served);
      await manager?.ready(status()!);
    }
    const ending = signal ?? (await signals.signal);
    log.info(`${ending}: takes no more requests; ends once those in progress are answered`);
    await manager?.stopping("finishing the answers in progress");
  } finally {
    manager?.end();
    await server.close();
    control.close();
    await options.accessLog?.end();
    metrics?.close();
    await host?.end();
    host?.writeStatistics();
    await store.close();
    signals.end();
  }
}

/** Handles SIGTERM and SIGINT. A second signal ends the process at once. */
function stopSignals() {
  const stop = Promise.withResolvers<NodeJS.Signals>();
  const stopping = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopping.signal.aborted) exitProcess(1);
    stopping.abort();
    stop.resolve(signal);
  };
  const names = ["SIGTERM", "SIGINT"] as const;
  for (const name of names) process.on(name, onSignal);
  return {
    signal: stop.promise,
    stopped: stopping.signal,
    end() {
      for (const name of names) process.off(name, onSignal);
    },
  };
}
