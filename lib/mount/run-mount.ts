/** `icfs mount` from its start to its end: the first release, the mount, and what it takes down with it. */
import { prepareMountpoint } from "../fs/mounting/mountpoint.ts";
import { BlsThread } from "../ic/certificate/bls-thread.ts";
import { gatewaysOf } from "../ic/gateway/gateways.ts";
import { serveUntilUnmounted } from "../process/lifetime.ts";
import { listenForSite, type SiteServer } from "../serve/server.ts";
import type { ReleaseAddress } from "../source/address.ts";
import { openFirst } from "./first-release.ts";
import { CanisterMount } from "./mount.ts";
import { openKnown } from "./open-known.ts";
import type { CanisterMountOptions } from "./options.ts";
import { untilNetworkAnswers } from "./outage.ts";
import type { MountDescription, MountStatus } from "./report/status.ts";
import { ServiceManager } from "./report/systemd.ts";
import { answerSignals } from "./signals.ts";

/** Who wants the memory to be small does not want a thread's 30 MiB either. */
const LEAST_MEMORY_FOR_THREAD = 128 * 1024 * 1024;

/**
 * Mounts a canister and serves it until it is unmounted. The address is asked for inside, so that a signal ends that as
 * well.
 *
 * @param ready told once readers can use the mount
 * @throws UserError, VerificationError, ... when the mount cannot be made
 */
export async function runMount(
  resolveAddress: () => Promise<ReleaseAddress>,
  options: CanisterMountOptions,
  ready: (mounted: MountDescription) => Promise<void>,
): Promise<void> {
  const { log, store, notifySocket } = options;
  const manager = notifySocket === undefined ? undefined : new ServiceManager(notifySocket, log);
  let mount: CanisterMount | undefined;
  let metrics: { close(): void } | undefined;
  let siteServer: SiteServer | undefined;
  let isMounted = false;
  // Not before: nobody waits yet, and the thread takes longer to start than a certificate to check.
  const thread = options.memory < LEAST_MEMORY_FOR_THREAD ? undefined : new BlsThread();
  answerSignals(() => mount);
  manager?.follow(() => (isMounted ? mount?.status() : undefined));
  try {
    await serveUntilUnmounted({
      mount: async (stopped) => {
        // First: what is wrong with it is known at once, and nothing has to be undone.
        if (options.metrics !== undefined) {
          const { serveMetrics } = await import("./report/metrics.ts");
          metrics = await serveMetrics(options.metrics, () => (isMounted ? mount?.status() : undefined), log);
        }
        if (options.serve !== undefined) {
          siteServer = await listenForSite(options.serve, "--serve", () => mount?.site, log);
        }
        const address = await resolveAddress();
        gatewaysOf(address.network).tell = (event) => log.warn(event);
        if (options.mirrors !== undefined) options.mirrors.tell = (event) => log.warn(event);
        let isAgain = false;
        const open = async () => {
          // What is wrong with it should not be found out only when the network has come.
          if (isAgain) await prepareMountpoint(options.mountpoint, log);
          isAgain = true;
          const source = await openKnown(address, options, () => (isMounted ? thread?.verify : undefined));
          const from = { address, source };
          return { from, first: await openFirst(from, options) };
        };
        const { from, first } = await untilNetworkAnswers(open, options, stopped);
        mount = new CanisterMount(from, first, options, siteServer);
        return mount.mount();
      },
      ready: async () => {
        isMounted = true;
        thread?.start();
        const { mountpoint, canister, source, verified } = mount!.describe();
        log.info(`${mountpoint}: ${mount!.name} of ${canister} (${source}, ${verified}) is mounted`);
        if (siteServer !== undefined) log.info(`${mount!.name} is served at ${siteServer.url}`);
        mount!.follow();
        if (options.ready === "hydrated") await mount!.hydrated;
        await ready(wantsWhole(options, mount!.describe(), mount!.status()));
        await manager?.ready(mount!.status());
      },
      log,
    });
    await manager?.stopping();
  } finally {
    manager?.end();
    metrics?.close();
    await siteServer?.close();
    mount?.end();
    mount?.writeStatistics();
    await mount?.keepLearned();
    await store?.close();
  }
}

/** The description, with a word of it when the mount was to be hydrated first, and could not be. */
function wantsWhole(
  { ready }: CanisterMountOptions,
  described: MountDescription,
  { hydrated }: MountStatus,
): MountDescription {
  if (ready !== "hydrated" || hydrated) return described;
  const missing = "not all of it could be kept on this host, which still needs the network; the log says why";
  const warning = described.warning === undefined ? missing : `${described.warning}; ${missing}`;
  return { ...described, warning };
}
