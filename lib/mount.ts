/** A mount, from the canister to the kernel: joins the source, the cache and the file system in one process. */
import { renameSync, writeFileSync } from "node:fs";
import { ChunkCache } from "./cache/chunk-cache.ts";
import { messageOf } from "./errors.ts";
import { mountFuseNative } from "./fs/fuse-native.ts";
import { serveUntilUnmounted } from "./fs/lifetime.ts";
import type { MountOptions } from "./fs/mount-options.ts";
import { TreeFileSystem } from "./fs/tree-filesystem.ts";
import type { Log } from "./log.ts";
import { type OpenRelease, openRelease, openSource, type ReleaseAddress } from "./source/open.ts";

export interface CanisterMountOptions {
  readonly mountpoint: string;
  readonly mount: MountOptions;
  /** Bytes of memory for verified chunks. */
  readonly memory: number;
  /** Milliseconds until a read gives up with EIO. */
  readonly readTimeout: number;
  /** Where to write the counters on SIGUSR1 and at the end. */
  readonly statsFile?: string;
  readonly log: Log;
}

/** What can be said of a mount that is live. */
export interface MountDescription {
  readonly canister: string;
  readonly mountpoint: string;
  readonly release: number;
  /** SHA-256 of the release's header, in hexadecimal. */
  readonly header: string;
  readonly files: number;
  /** Bytes of all files together. */
  readonly bytes: number;
}

/**
 * Mounts a release and serves it until it is unmounted. The address is asked for inside, so that a
 * signal ends that as well.
 *
 * @param ready told once readers can use the mount
 * @throws UserError, VerificationError, ... when the mount cannot be made
 */
export async function serveMount(
  resolveAddress: () => Promise<ReleaseAddress>,
  options: CanisterMountOptions,
  ready: (mounted: MountDescription) => Promise<void>,
): Promise<void> {
  const { log, statsFile } = options;
  let description: MountDescription;
  let writeStatistics = () => {};
  try {
    await serveUntilUnmounted({
      mount: async () => {
        const address = await resolveAddress();
        // Half of the deadline: a request that hangs in silence leaves time for another.
        const source = openSource(address, options.readTimeout / 2);
        const release = await openRelease(address, source);
        const cache = new ChunkCache((reference) => source.chunk(reference), options);
        if (statsFile !== undefined) {
          writeStatistics = () => writeStatisticsFile(statsFile, release, cache, log);
          process.on("SIGUSR1", writeStatistics);
        }
        const mounted = await mountFuseNative({
          fileSystem: new TreeFileSystem(
            { tree: release.tree, number: release.header.number, certifiedAt: release.header.publishedAt },
            cache,
            { canister: address.canister.toText() },
          ),
          mountpoint: options.mountpoint,
          options: options.mount,
          log,
        });
        description = {
          canister: address.canister.toText(),
          mountpoint: mounted.mount.mountpoint,
          ...named(release),
          files: release.header.totals.files,
          bytes: release.tree.bytes,
        };
        return mounted;
      },
      ready: async () => {
        const { canister, mountpoint, release, header } = description;
        log.info(`${mountpoint}: release ${release} (${header}) of ${canister} is mounted`);
        await ready(description);
      },
      log,
    });
  } finally {
    writeStatistics();
  }
}

function named({ header, hash }: OpenRelease): { release: number; header: string } {
  return { release: header.number, header: hash.toString("hex") };
}

function writeStatisticsFile(file: string, release: OpenRelease, cache: ChunkCache, log: Log): void {
  const { hits, misses, ...statistics } = cache.statistics;
  const content = { ...named(release), ...statistics, cacheHits: hits, cacheMisses: misses };
  try {
    // Whole or not at all, for whoever waits for it.
    writeFileSync(`${file}.new`, `${JSON.stringify(content)}\n`);
    renameSync(`${file}.new`, file);
  } catch (error) {
    log.warn(`cannot write the statistics: ${messageOf(error)}`);
  }
}
