/** The release that a mount begins with: the newest one, or what was kept on this host when the network does not say. */
import { messageOf, UserError } from "../errors.ts";
import { keepRelease, keptRelease, newestCertifiedTime } from "../source/kept.ts";
import { openTree, type ProvenRelease, proveRelease, type ReleaseAddress } from "../source/open.ts";
import type { Source } from "../source/source.ts";
import type { Tree } from "../tree/tree.ts";
import { ageText } from "../units.ts";
import type { CanisterMountOptions } from "./options.ts";

/** A release with its tree. */
export interface FirstRelease {
  readonly release: ProvenRelease;
  readonly tree: Tree;
  /** Why it is one that was kept, if it is. */
  readonly warning: string | undefined;
}

/**
 * From the network; from what was kept on this host when that does not answer, or has nothing to say that can be accepted:
 * what was verified goes on being served, and the log says why.
 *
 * @throws UserError, VerificationError, ... when there is neither
 */
export async function openFirst(
  address: ReleaseAddress,
  source: Source,
  { store, offline, maxStale, log }: CanisterMountOptions,
): Promise<FirstRelease> {
  const kept =
    store &&
    (await keptRelease(store, address, source).catch((error) => {
      log.warn(`what was kept of ${address.canister} is of no use: ${messageOf(error)}`);
      return undefined;
    }));
  let reason = "--offline";
  if (!offline) {
    try {
      const release = await proveRelease(address, source);
      const tree = await openTree(address, release, source, store);
      if (store) await keepRelease(store, address, release);
      return { release, tree, warning: undefined };
    } catch (error) {
      if (kept === undefined) throw error;
      reason = messageOf(error);
    }
  }
  if (store === undefined || kept === undefined) {
    throw new UserError(
      `nothing of ${address.canister} is kept on this host: mount it once without --offline, and with a disk cache`,
    );
  }
  const age = ageOf(kept.certifiedAt, await newestCertifiedTime(store));
  if (age > maxStale) {
    throw new UserError(
      `what is kept of ${address.canister} was certified ${ageText(age)} ago, which --max-stale does not allow, and there is nothing newer: ${reason}`,
    );
  }
  const warning = `mounted from what was kept on this host, certified ${ageText(age)} ago: ${reason}`;
  log.warn(warning);
  return { release: kept, tree: await openTree(address, kept, source, store), warning };
}

/** Milliseconds since a time, by the clock, or by the newest certificate when the clock is behind that. */
export function ageOf(certifiedAt: Date, newest: Date): number {
  return Math.max(Date.now(), newest.getTime()) - certifiedAt.getTime();
}
