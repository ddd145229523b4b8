/** Runs `icfs mount` from start to end: opens the first release, mounts it, and cleans up. */
import { prepareMountpoint } from "../fs/mounting/mountpoint.ts";
import { BlsThread } from "../ic/certificate/bls-thread.ts";
import type { BlsVerify } from "../ic/certificate/valid-signatures.ts";
import { gatewaysOf } from "../ic/gateway/gateways.ts";
import { openFirst } from "../live/first-release.ts";
import { openKnown } from "../live/open-known.ts";
import { untilNetworkAnswers } from "../live/outage.ts";
import type { MountDescription, MountStatus } from "../live/report/status.ts";
import { ServiceManager } from "../live/report/systemd.ts";
import { answerSignals } from "../live/signals.ts";
import { serveUntilUnmounted } from "../process/lifetime.ts";
import type { SiteServer } from "../serve/server.ts";
import type { CanisterAddress, ReleaseAddress } from "../source/address.ts";
import type { ChannelsMount } from "./channels-mount.ts";
import { CanisterMount } from "./mount.ts";
import type { CanisterMountOptions } from "./options.ts";

/** With a smaller cache than this, a thread's 30 MiB would be too much as well. */
const LEAST_MEMORY_FOR_THREAD = 128 * 1024 * 1024;

type AnyMount = CanisterMount | ChannelsMount;

/**
 * Mounts a canister and serves it until it is unmounted. The address is resolved inside, so that a signal interrupts that as
 * well, and so that it is tried again while the network does not answer.
 *
 * @param ready called once readers can use the mount
 * @throws UserError, VerificationError, ... when the mount cannot be made
 */
export async function runMount(
  resolveAddress: () => Promise<ReleaseAddress>,
  options: CanisterMountOptions,
  ready: (mounted: MountDescription) => Promise<void>,
): Promise<void> {
  const { log, store, notifySocket } = options;
  const manager = notifySocket === undefined ? undefined : new ServiceManager(notifySocket, log);
  let mount: AnyMount | undefined;
  let metrics: { close(): void } | undefined;
  let siteServer: SiteServer | undefined;
  let isMounted = false;
  // Started later: nothing needs it yet, and it takes longer to start than to check one certificate.
  const thread = options.memory < LEAST_MEMORY_FOR_THREAD ? undefined : new BlsThread();
  answerSignals(() => mount);
  manager?.follow(() => (isMounted ? mount?.status() : undefined));
  try {
    await serveUntilUnmounted({
      mount: async (stopped) => {
        // First, so that a bad address is reported at once and nothing has to be undone.
        if (options.metrics !== undefined) {
          const { serveMetrics } = await import("../live/report/metrics.ts");
          metrics = await serveMetrics(options.metrics, () => (isMounted ? mount?.status() : undefined), log);
        }
        if (options.serve !== undefined) {
          const { listenForSite } = await import("../serve/server.ts");
          siteServer = await listenForSite(options.serve, "--serve", () => mount?.site, log);
        }
        if (options.mirrors !== undefined) options.mirrors.tell = (event) => log.warn(event);
        const open = async () => {
          const address = await resolveAddress();
          gatewaysOf(address.network).tell = (event) => log.warn(event);
          const blsVerify = () => (isMounted ? thread?.verify : undefined);
          if (options.allChannels) return openAll(address, options, blsVerify);
          const from = { address, source: await openKnown(address, options, blsVerify) };
          const opened = new CanisterMount(from, await openFirst(from, options), options);
          if (siteServer !== undefined) await opened.serveOthers(siteServer);
          return opened;
        };
        // The mountpoint is examined while the network is asked, and again with each retry: a bad one is reported at once.
        const prepare = () => {
          const examined = prepareMountpoint(options.mountpoint, log);
          // A retry must not meet it at work: both would remove a dead mount.
          const opened = open().catch((error) => examined.then(() => Promise.reject(error)));
          return Promise.all([examined, opened]);
        };
        const [mountpoint, opened] = await untilNetworkAnswers(prepare, options, stopped);
        mount = opened;
        return mount.mount(mountpoint);
      },
      ready: async () => {
        isMounted = true;
        const { mountpoint, canister, source, verified } = mount!.describe();
        log.info(`${mountpoint}: ${mount!.name} of ${canister} (${source}, ${verified}) is mounted`);
        if (siteServer !== undefined) log.info(`${mount!.name} is served at ${siteServer.url}`);
        mount!.follow();
        if (options.ready === "hydrated") await mount!.hydrated;
        await ready(wantsWhole(options, mount!.describe(), mount!.status()));
        await manager?.ready(mount!.status());
        // Starting the thread must not delay a caller that waits for the mount.
        thread?.start();
      },
      log,
    });
    await manager?.stopping("unmounted");
  } finally {
    manager?.end();
    metrics?.close();
    await siteServer?.close();
    await options.accessLog?.end();
    mount?.end();
    mount?.writeStatistics();
    await mount?.keepLearned();
    await store?.close();
  }
}

/** Opens a mount of all channels. @throws as openFirstChannels() */
async function openAll(
  address: CanisterAddress,
  options: CanisterMountOptions,
  blsVerify: () => BlsVerify | undefined,
): Promise<ChannelsMount> {
  const { openChannels } = await import("../source/open-source.ts");
  const { openFirstChannels } = await import("./first-channels.ts");
  const { ChannelsMount } = await import("./channels-mount.ts");
  // Half of the deadline, as in lib/live/open-known.ts.
  const channels = openChannels(address, { ...options, requestTimeout: options.readTimeout / 2, blsVerify });
  return new ChannelsMount(address, channels, await openFirstChannels(address, channels, options), options);
}

/** The description, with a warning if the mount should have been hydrated first and could not be. */
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
