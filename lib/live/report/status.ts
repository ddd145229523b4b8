/** The status of a live mount, as `icfs status --json` prints it. */
import type { CacheStatistics } from "../../cache/chunk-cache.ts";
import type { DiskStatistics } from "../../cache/disk-store.ts";
import type { ReaderStatistics } from "../../fs/view/tree-filesystem.ts";
import type { GatewayHealth } from "../../ic/gateway/gateway.ts";
import { VERSION } from "../../package-files.ts";
import type { SiteStatus } from "../../serve/site.ts";
import type { Brought, MirrorHealth } from "../../source/icfs/mirrors.ts";
import type { Release, SourceKind, Verification } from "../../source/source.ts";
import { namesOf, type ReleaseNames } from "../../source/words.ts";
import { type Hydration, isDone } from "../hydrate.ts";
import type { CheckStatus } from "../last-check.ts";

/** The description of a served release. */
export interface ReleaseDescription extends ReleaseNames {
  readonly canister: string;
  readonly source: SourceKind;
  readonly verified: Verification;
  readonly files: number;
  /** Total size of all files, in bytes. */
  readonly bytes: number;
  /** When the subnet certified the release; without certificates, when the canister said so. */
  readonly certifiedAt: string;
  /** Why a release kept on this host is used, if it is. */
  readonly warning?: string;
}

/** The description of one of several releases of a canister. */
export type PartDescription = Omit<ReleaseDescription, "canister" | "source">;

/** What a mount command reports once it is live. */
export interface MountDescription extends ReleaseDescription {
  readonly mountpoint: string;
  /**
   * One for each directory, if all channels are mounted. The mount then has no release itself, but the totals of their files and
   * bytes.
   */
  readonly channels?: readonly PartDescription[];
}

/** The status of a served release, and of the one that follows. */
export interface ReleaseStatus extends PartDescription {
  /** Seconds since the release, or one that follows it, was certified. */
  readonly proofAge: number;
  /** When the network last answered; absent: not since the mount. */
  readonly checkedAt?: string;
  /** Why the last query failed. */
  readonly problem?: string;
  /** Whether the answer was not acceptable. This is not an outage, and does not end by itself. */
  readonly refused?: true;
  /** Whether the channel was deleted on the canister. The release that it stood for last stays served. */
  readonly channelDeleted?: true;
  /** Whether all of the release can be read, and mounted again, without the network. */
  readonly hydrated: boolean;
  readonly hydration?: Hydration;
  /** The next release, which is not live yet. */
  readonly next?: ReleaseNames & { readonly state: string; readonly hydration?: Hydration };
}

/** The status of whatever serves a canister: a mount, or `icfs serve` without one. */
export interface ServingStatus extends ReleaseDescription, ReleaseStatus {
  readonly pid: number;
  /** The version of the running icfs, which may differ from the installed one. Absent before 0.2.0. */
  readonly version?: string;
  /** The URLs of the network's gateways, separated by commas, and its root key in hexadecimal. */
  readonly network: string;
  readonly rootKey: string;
  /** The proxy in use, without its login; absent: none. */
  readonly proxy?: string;
  /** The health of each of the network's gateways, in the order of `network`. */
  readonly gateways: readonly GatewayHealth[];
  /** The health of each mirror, in the order in which they are asked. */
  readonly mirrors: readonly MirrorHealth[];
  /** What the network delivered when the mirrors could not; absent: there are no mirrors, or the network is never asked. */
  readonly fromNetwork?: Brought;
  /** Whether the network is never asked. */
  readonly mirrorOnly?: true;
  /** What other hosts are served by HTTP. */
  readonly site?: SiteStatus;
  readonly cache: CacheStatistics & {
    /** Bytes in memory, and the limit. */
    readonly memoryUsed: number;
    readonly memory: number;
    /** Chunks that are being fetched. */
    readonly underWay: number;
    /** Since when uncached reads fail at once; absent: they do not. */
    readonly failingSince?: string;
  };
  readonly disk?: DiskStatistics & {
    readonly directory: string;
    /**
     * The limit for chunks on disk, and what they take by now as far as the mount knows, in bytes of whole blocks; absent: not
     * counted yet.
     */
    readonly capacity: number;
    readonly used?: number;
    /** Why nothing can be written. */
    readonly problem?: string;
  };
}

export interface MountStatus extends ServingStatus {
  readonly mountpoint: string;
  /** As in MountDescription. The mount itself has the oldest of their proofs, and is hydrated when all are. */
  readonly channels?: readonly ReleaseStatus[];
  readonly openFiles: number;
  readonly readers: ReaderStatistics;
  /** The last error that a reader got. */
  readonly lastError?: { readonly at: string; readonly message: string };
}

/** The status of a mount or of `icfs serve`. */
export type AnyStatus = ServingStatus & Partial<MountStatus>;

/** The parts of a mount, or of `icfs serve`, from which the status of a release is made. */
export interface ReportedRelease {
  readonly warning: string | undefined;
  readonly live: {
    readonly now: {
      readonly release: Release;
      readonly tree: { readonly files: number; readonly bytes: number };
      readonly hydration: Hydration | undefined;
    };
    /** The age of its proof, in milliseconds. */
    readonly age: number;
    /** Whether its proof and its chunks stay on this host. */
    readonly isKept: boolean;
  };
  readonly following: CheckStatus & {
    readonly next:
      | { readonly release: Release; readonly state: string; readonly hydration: Hydration | undefined }
      | undefined;
  };
}

/** The parts from which the description of a release is made. */
export interface Described extends Omit<ReportedRelease, "following"> {
  readonly canister: string;
  readonly source: SourceKind;
}

/** The ways to a canister, and what is cached of it. */
export interface ReportedHost {
  readonly network: string;
  readonly proxy?: string | undefined;
  readonly rootKey: Uint8Array;
  readonly gateways: readonly GatewayHealth[];
  readonly mirrors: readonly MirrorHealth[];
  readonly fromNetwork: Brought | undefined;
  readonly mirrorOnly: boolean;
  readonly site: SiteStatus | undefined;
  readonly cache: {
    readonly statistics: CacheStatistics;
    readonly memoryUsed: number;
    readonly underWay: number;
    readonly breaker: { readonly openSince: Date | undefined };
  };
  /** The limit of memory for chunks, in bytes. */
  readonly memory: number;
  readonly disk:
    | {
        readonly statistics: DiskStatistics;
        readonly directory: string;
        readonly capacity: number;
        readonly used: number | undefined;
        readonly problem: string | undefined;
      }
    | undefined;
}

/** The parts from which the status of `icfs serve` is made. */
export interface Reported extends Described, ReportedRelease, ReportedHost {}

/** The parts that only a mount has. */
export interface ReportedMount {
  readonly mountpoint: string;
  readonly openFiles: number;
  readonly fileSystem: {
    readonly statistics: ReaderStatistics;
    readonly lastError: { readonly at: Date; readonly message: string } | undefined;
  };
}

export function describe({ canister, source, ...release }: Described): ReleaseDescription {
  return { canister, source, ...describePart(release) };
}

function describePart({ warning, live }: Omit<ReportedRelease, "following">): PartDescription {
  const { release, tree } = live.now;
  return {
    ...namesOf(release),
    verified: release.verified,
    files: tree.files,
    bytes: tree.bytes,
    certifiedAt: release.certifiedAt.toISOString(),
    ...(warning !== undefined && { warning }),
  };
}

export function statusOf(mount: ReportedMount & Reported): MountStatus {
  return { ...servingStatusOf(mount), ...mountStatusOf(mount) };
}

export function servingStatusOf(host: Reported): ServingStatus {
  const { canister, source } = host;
  return { canister, source, ...releaseStatusOf(host), ...hostStatusOf(host) };
}

/** The parts from which the description of a mount of all channels is made. */
export interface DescribedChannels extends Pick<Described, "canister" | "warning"> {
  readonly mountpoint: string;
  /** When the subnet last certified the list of channels; undefined: not since the mount. */
  readonly certifiedAt: Date | undefined;
  readonly channels: readonly Omit<ReportedRelease, "following">[];
}

/** The parts from which the status of a mount of all channels is made. */
export interface ReportedChannels extends DescribedChannels, ReportedHost, ReportedMount {
  readonly lastCheck: CheckStatus;
  readonly channels: readonly ReportedRelease[];
}

export function describeChannels(mount: DescribedChannels): MountDescription {
  const { canister, warning, mountpoint } = mount;
  const sum = (key: "files" | "bytes") =>
    mount.channels.reduce((total, { live }) => total + live.now.tree[key], 0);
  return {
    canister,
    source: "icfs",
    verified: "certified",
    files: sum("files"),
    bytes: sum("bytes"),
    certifiedAt: oldestProof(mount).toISOString(),
    ...(warning !== undefined && { warning }),
    mountpoint,
    channels: mount.channels.map(describePart),
  };
}

export function channelsStatusOf(mount: ReportedChannels): MountStatus {
  const { lastCheck } = mount;
  const { checkedAt } = lastCheck;
  const hydrations = mount.channels.flatMap(({ live }) => live.now.hydration ?? []);
  const sum = (key: keyof Hydration) => hydrations.reduce((total, hydration) => total + hydration[key], 0);
  const ages = mount.channels.map(({ live }) => live.age);
  const oldest = ages.length > 0 ? Math.max(...ages) : Date.now() - oldestProof(mount).getTime();
  const channels = mount.channels.map((channel) => {
    // While the list of channels is unknown, so is what each channel stands for.
    const { channelDeleted } = channel.following;
    const following = {
      ...channel.following,
      ...(lastCheck.problem !== undefined && { ...lastCheck, channelDeleted }),
    };
    return releaseStatusOf({ ...channel, following });
  });
  return {
    ...describeChannels(mount),
    proofAge: Math.round(oldest / 1000),
    ...(checkedAt && { checkedAt: checkedAt.toISOString() }),
    ...problemOf(lastCheck),
    hydrated: channels.every(({ hydrated }) => hydrated),
    ...(hydrations.length > 0 && {
      hydration: {
        files: sum("files"),
        bytes: sum("bytes"),
        filesDone: sum("filesDone"),
        bytesDone: sum("bytesDone"),
      },
    }),
    ...hostStatusOf(mount),
    ...mountStatusOf(mount),
    channels,
  };
}

function oldestProof({ channels, certifiedAt = new Date(0) }: DescribedChannels): Date {
  const times = channels.map(({ live }) => live.now.release.certifiedAt.getTime());
  return times.length > 0 ? new Date(Math.min(...times)) : certifiedAt;
}

function problemOf({ problem, refused }: CheckStatus): Pick<ReleaseStatus, "problem" | "refused"> {
  return { ...(problem !== undefined && { problem }), ...(refused && { refused }) };
}

function releaseStatusOf(host: ReportedRelease): ReleaseStatus {
  const { live, following } = host;
  const { checkedAt, next } = following;
  const { hydration } = live.now;
  return {
    // What it says is over once the network has answered.
    ...describePart({ live, warning: checkedAt === undefined ? host.warning : undefined }),
    proofAge: Math.round(live.age / 1000),
    ...(checkedAt && { checkedAt: checkedAt.toISOString() }),
    ...problemOf(following),
    ...(following.channelDeleted && { channelDeleted: true as const }),
    hydrated: isDone(hydration) && live.isKept,
    ...(hydration && { hydration }),
    ...(next && {
      next: {
        ...namesOf(next.release),
        state: next.state,
        ...(next.hydration && { hydration: next.hydration }),
      },
    }),
  };
}

function mountStatusOf({ mountpoint, openFiles, fileSystem }: ReportedMount) {
  const { statistics, lastError } = fileSystem;
  return {
    mountpoint,
    openFiles,
    readers: statistics,
    ...(lastError && { lastError: { at: lastError.at.toISOString(), message: lastError.message } }),
  };
}

function hostStatusOf(host: ReportedHost) {
  const { cache, disk, site } = host;
  const { openSince } = cache.breaker;
  const used = disk?.used;
  return {
    pid: process.pid,
    version: VERSION,
    network: host.network,
    ...(host.proxy !== undefined && { proxy: host.proxy }),
    rootKey: Buffer.from(host.rootKey).toString("hex"),
    gateways: host.gateways,
    mirrors: host.mirrors,
    ...(host.fromNetwork && { fromNetwork: host.fromNetwork }),
    ...(host.mirrorOnly && { mirrorOnly: true as const }),
    ...(site && { site }),
    cache: {
      ...cache.statistics,
      memoryUsed: cache.memoryUsed,
      memory: host.memory,
      underWay: cache.underWay,
      ...(openSince && { failingSince: openSince.toISOString() }),
    },
    ...(disk && {
      disk: {
        ...disk.statistics,
        directory: disk.directory,
        capacity: disk.capacity,
        ...(used !== undefined && { used }),
        ...(disk.problem !== undefined && { problem: disk.problem }),
      },
    }),
  };
}
