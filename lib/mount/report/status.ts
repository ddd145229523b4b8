/** What can be said of a live mount, as `icfs status --json` prints it. */
import type { CacheStatistics } from "../../cache/chunk-cache.ts";
import type { DiskStatistics } from "../../cache/disk-store.ts";
import type { ReaderStatistics } from "../../fs/view/tree-filesystem.ts";
import type { GatewayHealth } from "../../ic/gateway/gateway.ts";
import type { SiteStatus } from "../../serve/site.ts";
import type { Brought, MirrorHealth } from "../../source/icfs/mirrors.ts";
import type { Release, SourceKind, Verification } from "../../source/source.ts";
import { namesOf, type ReleaseNames } from "../../source/words.ts";
import { type Hydration, isDone } from "../hydrate.ts";

/** What is said of a canister's release that is served. */
export interface ReleaseDescription extends ReleaseNames {
  readonly canister: string;
  readonly source: SourceKind;
  readonly verified: Verification;
  readonly files: number;
  /** Bytes of all files together. */
  readonly bytes: number;
  /** When the subnet certified the release; without certificates, when the canister said so. */
  readonly certifiedAt: string;
  /** Why the release is one that was kept on this host, if it is. */
  readonly warning?: string;
}

/** What a mount command reports once it is live. */
export interface MountDescription extends ReleaseDescription {
  readonly mountpoint: string;
}

/** Of whoever serves a canister: a mount, or `icfs serve` without one. */
export interface ServingStatus extends ReleaseDescription {
  readonly pid: number;
  /** The URL of the network that it is mounted from, or those of its gateways with commas between them; and its root key in hexadecimal. */
  readonly network: string;
  readonly rootKey: string;
  /** How each of the network's gateways does, in the order of `network`. */
  readonly gateways: readonly GatewayHealth[];
  /** The same of each mirror, in the order in which they are asked. */
  readonly mirrors: readonly MirrorHealth[];
  /** What the network has brought when it was asked in their stead; not there: no mirrors, or it is never asked. */
  readonly fromNetwork?: Brought;
  /** The network is never asked. */
  readonly mirrorOnly?: true;
  /** Seconds since the release, or one that follows it, was certified. */
  readonly proofAge: number;
  /** When the network was last asked with success; not there: not since the mount. */
  readonly checkedAt?: string;
  /** Why it could not be asked the last time. */
  readonly problem?: string;
  /** There was an answer, which this mount does not accept: it is not an outage, and does not end by itself. */
  readonly refused?: true;
  /** All of the release can be read without the network, and mounted again. */
  readonly hydrated: boolean;
  readonly hydration?: Hydration;
  /** A release that is not live yet. */
  readonly next?: ReleaseNames & { readonly state: string; readonly hydration?: Hydration };
  /** What others are served by HTTP. */
  readonly site?: SiteStatus;
  readonly cache: CacheStatistics & {
    /** Bytes in memory, and at most. */
    readonly memoryUsed: number;
    readonly memory: number;
    /** Chunks on their way. */
    readonly underWay: number;
    /** Since when cold reads fail at once; not there: they do not. */
    readonly failingSince?: string;
  };
  readonly disk?: DiskStatistics & {
    readonly directory: string;
    /** Bytes that chunks take on it, by blocks, at most, and by now as far as the mount knows; not there: it has not counted them yet. */
    readonly capacity: number;
    readonly used?: number;
    /** Why nothing can be written. */
    readonly problem?: string;
  };
}

export interface MountStatus extends ServingStatus {
  readonly mountpoint: string;
  readonly openFiles: number;
  readonly readers: ReaderStatistics;
  /** The last error a reader got. */
  readonly lastError?: { readonly at: string; readonly message: string };
}

/** Of either. */
export type AnyStatus = ServingStatus & Partial<MountStatus>;

/** Of the parts of a mount, or of what serves without one, what its description is made of. */
export interface Described {
  readonly canister: string;
  readonly source: SourceKind;
  readonly warning: string | undefined;
  readonly live: {
    readonly now: {
      readonly release: Release;
      readonly tree: { readonly files: number; readonly bytes: number };
      readonly hydration: Hydration | undefined;
    };
    /** Of its proof, in milliseconds. */
    readonly age: number;
    /** Its proof and its chunks stay on this host. */
    readonly isKept: boolean;
  };
}

/** And what its status is made of. */
export interface Reported extends Described {
  readonly network: string;
  readonly rootKey: Uint8Array;
  readonly gateways: readonly GatewayHealth[];
  readonly mirrors: readonly MirrorHealth[];
  readonly fromNetwork: Brought | undefined;
  readonly mirrorOnly: boolean;
  readonly following: {
    readonly checkedAt: Date | undefined;
    readonly problem: string | undefined;
    readonly refused: boolean;
    readonly next:
      | { readonly release: Release; readonly state: string; readonly hydration: Hydration | undefined }
      | undefined;
  };
  readonly site: SiteStatus | undefined;
  readonly cache: {
    readonly statistics: CacheStatistics;
    readonly memoryUsed: number;
    readonly underWay: number;
    readonly breaker: { readonly openSince: Date | undefined };
  };
  /** Bytes of chunks in memory, at most. */
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

/** What only a mount has, of what its status is made of. */
export interface ReportedMount extends Reported {
  readonly mountpoint: string;
  readonly openFiles: number;
  readonly fileSystem: {
    readonly statistics: ReaderStatistics;
    readonly lastError: { readonly at: Date; readonly message: string } | undefined;
  };
}

export function describe({ canister, source, warning, live }: Described): ReleaseDescription {
  const { release, tree } = live.now;
  return {
    canister,
    source,
    ...namesOf(release),
    verified: release.verified,
    files: tree.files,
    bytes: tree.bytes,
    certifiedAt: release.certifiedAt.toISOString(),
    ...(warning !== undefined && { warning }),
  };
}

export function statusOf(mount: ReportedMount): MountStatus {
  const { statistics, lastError } = mount.fileSystem;
  return {
    ...servingStatusOf(mount),
    mountpoint: mount.mountpoint,
    openFiles: mount.openFiles,
    readers: statistics,
    ...(lastError && { lastError: { at: lastError.at.toISOString(), message: lastError.message } }),
  };
}

export function servingStatusOf(host: Reported): ServingStatus {
  const { live, following, cache, disk, site } = host;
  const { checkedAt, problem, refused, next } = following;
  const { hydration } = live.now;
  const { openSince } = cache.breaker;
  const used = disk?.used;
  return {
    ...describe(host),
    pid: process.pid,
    network: host.network,
    rootKey: Buffer.from(host.rootKey).toString("hex"),
    gateways: host.gateways,
    mirrors: host.mirrors,
    ...(host.fromNetwork && { fromNetwork: host.fromNetwork }),
    ...(host.mirrorOnly && { mirrorOnly: true as const }),
    proofAge: Math.round(live.age / 1000),
    ...(checkedAt && { checkedAt: checkedAt.toISOString() }),
    ...(problem !== undefined && { problem }),
    ...(refused && { refused }),
    hydrated: isDone(hydration) && live.isKept,
    ...(hydration && { hydration }),
    ...(next && {
      next: {
        ...namesOf(next.release),
        state: next.state,
        ...(next.hydration && { hydration: next.hydration }),
      },
    }),
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
