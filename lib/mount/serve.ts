/** `icfs mount` from its start to its end: the first release, the mount, the signals. */
import { serveUntilUnmounted } from "../fs/lifetime.ts";
import { BlsThread } from "../ic/bls-thread.ts";
import { offlineSource } from "../source/offline.ts";
import { openSource, type ReleaseAddress } from "../source/open.ts";
import { CanisterMount, type MountDescription } from "./canister-mount.ts";
import { openFirst } from "./first-release.ts";
import type { CanisterMountOptions } from "./options.ts";

/** Who wants the memory to be small does not want a thread's 30 MiB either. */
const LEAST_MEMORY_FOR_THREAD = 128 * 1024 * 1024;

/**
 * Mounts a canister and serves it until it is unmounted. The address is asked for inside, so that a signal ends that as
 * well.
 *
 * @param ready told once readers can use the mount
 * @throws UserError, VerificationError, ... when the mount cannot be made
 */
export async function serveMount(
  resolveAddress: () => Promise<ReleaseAddress>,
  options: CanisterMountOptions,
  ready: (mounted: MountDescription) => Promise<void>,
): Promise<void> {
  const { log, store } = options;
  let mount: CanisterMount | undefined;
  let metrics: { close(): void } | undefined;
  let isMounted = false;
  // Not before: nobody waits yet, and the thread takes longer to start than a certificate to check.
  const verify = options.memory < LEAST_MEMORY_FOR_THREAD ? undefined : new BlsThread().verify;
  const writeStatistics = () => mount?.writeStatistics();
  process.on("SIGUSR1", writeStatistics);
  // From a terminal it says that this is closed.
  process.on("SIGHUP", () => (process.stdin.isTTY ? process.kill(process.pid, "SIGTERM") : mount?.refresh()));
  try {
    await serveUntilUnmounted({
      mount: async () => {
        // First: what is wrong with it is known at once, and nothing has to be undone.
        if (options.metrics !== undefined) {
          const { serveMetrics } = await import("./metrics.ts");
          metrics = await serveMetrics(options.metrics, () => (isMounted ? mount?.status() : undefined), log);
        }
        const address = await resolveAddress();
        // Half of the deadline: a request that hangs in silence leaves time for another.
        const online = openSource(address, options.readTimeout / 2, () => (isMounted ? verify : undefined));
        const source = options.offline ? offlineSource(online) : online;
        mount = new CanisterMount(address, source, await openFirst(address, source, options), options);
        return mount.mount();
      },
      ready: async () => {
        isMounted = true;
        const { mountpoint, canister, release, header } = mount!.describe();
        log.info(`${mountpoint}: release ${release} (${header}) of ${canister} is mounted`);
        mount!.follow();
        if (options.ready === "hydrated") await mount!.hydrated;
        await ready(mount!.describe());
      },
      log,
    });
  } finally {
    metrics?.close();
    mount?.end();
    writeStatistics();
    await store?.close();
  }
}
