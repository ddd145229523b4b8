/** The release that a mount or `icfs serve` starts with: the newest, or the one kept here when the network does not answer. */
import type { Principal } from "@icp-sdk/core/principal";
import { messageOf, UserError } from "../errors.ts";
import {
  type KeptBy,
  keepRelease,
  keptRelease,
  mustNotBeDeleted,
  newerThanKept,
  newestCertifiedTime,
} from "../source/kept.ts";
import type { Release } from "../source/source.ts";
import type { Tree } from "../tree/tree.ts";
import { ageText } from "../units.ts";
import type { OpeningOptions } from "./opening-options.ts";

/** A release with its tree. */
export interface FirstRelease {
  readonly release: Release;
  readonly tree: Tree;
  /** Why a kept release is used, if it is. */
  readonly warning: string | undefined;
  /** Whether its proof is on disk. */
  readonly isKept: boolean;
}

/**
 * Opens the newest release from the network, or the one kept on this host when the network does not answer or gives no acceptable
 * answer: then the log says why.
 *
 * @param from the source, and where it keeps what it has
 * @throws UserError, VerificationError, ... when there is neither
 */
export async function openFirst(
  from: KeptBy,
  { store, offline, maxStale, log }: Pick<OpeningOptions, "store" | "offline" | "maxStale" | "log">,
): Promise<FirstRelease> {
  const { source } = from;
  const { canister } = from.address;
  let useless: string | undefined;
  const kept =
    store &&
    (await keptRelease(store, from).catch((error) => {
      useless = `what was kept of ${canister} is of no use: ${messageOf(error)}`;
      log.warn(useless);
      return undefined;
    }));
  let reason = "--offline";
  if (!offline) {
    try {
      const release = await source.newest();
      const tree = await source.tree(release, store);
      const isKept = store !== undefined && (await keepRelease(store, from, release, log));
      return { release, tree, warning: undefined, isKept };
    } catch (error) {
      if (kept === undefined) throw error;
      reason = messageOf(error);
    }
  }
  mustNotBeDeleted(from.address);
  if (store === undefined || kept === undefined) {
    throw useless === undefined ? nothingKept(canister) : new UserError(useless);
  }
  const age = ageOf(kept.certifiedAt, await newestCertifiedTime(store, from.address.rootKey));
  if (age > maxStale) {
    throw new UserError(
      `what is kept of ${canister} was certified ${ageText(age)} ago, which --max-stale does not allow, and there is nothing newer: ${reason}`,
    );
  }
  const newer = newerThanKept(from, kept);
  const back =
    newer === undefined
      ? ""
      : `. It is release ${kept.number}: this host has accepted release ${newer} since, and not kept it yet`;
  const warning = `serves what was kept on this host, certified ${ageText(age)} ago: ${reason}${back}`;
  log.warn(warning);
  return { release: kept, tree: await source.tree(kept, store), warning, isKept: true };
}

/** Milliseconds since a time, by the clock, or by the newest certificate when the clock is behind it. */
export function ageOf(certifiedAt: Date, newest: Date): number {
  return Math.max(Date.now(), newest.getTime()) - certifiedAt.getTime();
}

/** The error for a mount without the network of a canister of which nothing is kept here. */
export function nothingKept(canister: Principal): UserError {
  return new UserError(
    `nothing of ${canister} is kept on this host: run it once without --offline, and with a disk cache`,
  );
}
