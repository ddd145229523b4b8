/** The input of the checks: a host, a network, and the user's request. */
import type { Identity } from "@icp-sdk/core/agent";
import { type Host, thisHost } from "../fs/mounting/host.ts";
import { MOUNT_TYPE, type Mount, readMounts } from "../fs/mounting/mountinfo.ts";
import { locate } from "../fs/mounting/probe.ts";
import { type Network, type NetworkStatus, networkStatus } from "../ic/network.ts";
import type { ReleaseAddress } from "../source/address.ts";

/** The request. */
export interface Question {
  readonly network: Network;
  /** The value of --root-key. */
  readonly rootKey?: string;
  readonly identity?: Identity;
  /** Default: none. */
  readonly canister?: Pick<ReleaseAddress, "canister" | "release">;
  /** Default: where anything of icfs is mounted. */
  readonly mountpoint?: string;
  readonly cacheDirectory: string;
  /** Bytes that the cache may take. */
  readonly cacheCapacity: number;
  readonly stateDirectory: string;
  /** The program's file, which mount(8) has to find. */
  readonly program: string;
}

export interface Context extends Question {
  readonly host: Host;
  /** The status of each gateway of the network, or its error, requested once for all checks. */
  statuses(): Promise<ReadonlyMap<string, TimedStatus | Error>>;
  /** The status of the first gateway that answers; undefined: none does. */
  status(): Promise<TimedStatus | undefined>;
  /** The directories in question, absolute and without symlinks. @throws UserError when they cannot be resolved */
  places(): Promise<readonly string[]>;
  /** All mounts of this host. */
  mounts(): Promise<readonly Mount[]>;
}

export interface TimedStatus extends NetworkStatus {
  /** This host's time in the middle between question and answer. */
  readonly askedAt: Date;
}

/** @param host in tests another than this one */
export function contextOf(question: Question, host: Host = thisHost()): Context {
  const statuses = once(() => timedStatuses(question.network));
  return {
    ...question,
    host,
    statuses,
    status: async () => [...(await statuses()).values()].find((one) => "askedAt" in one),
    places: once(async () => {
      if (question.mountpoint !== undefined) return [await locate(question.mountpoint)];
      const ours = (await readMounts()).filter(({ type }) => type === MOUNT_TYPE);
      return [...new Set(ours.map(({ mountpoint }) => mountpoint))];
    }),
    mounts: once(readMounts),
  };
}

async function timedStatuses({ gateways }: Network): Promise<ReadonlyMap<string, TimedStatus | Error>> {
  const entries = gateways.map(async (url) => {
    const status = await timedStatus(url).catch((error: Error) => error);
    return [url, status] as const;
  });
  return new Map(await Promise.all(entries));
}

async function timedStatus(url: string): Promise<TimedStatus> {
  const before = Date.now();
  const status = await networkStatus(url);
  return { ...status, askedAt: new Date((before + Date.now()) / 2) };
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= work();
    return result;
  };
}
