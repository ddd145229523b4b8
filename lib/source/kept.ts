/**
 * What a host keeps of a release so that it can have it again without the network: what its source calls evidence. Where there
 * are certificates it is verified again, signature and all, each time it is read; only its age does not count then. One file
 * beside the chunks, which `icfs cache clear` leaves.
 */
import { createHash } from "node:crypto";
import { messageOf } from "../errors.ts";
import type { Network } from "../ic/network.ts";
import type { Log } from "../log.ts";
import type { ReleaseAddress } from "./address.ts";
import { acceptedAfter, rememberKept } from "./icfs/accepted-releases.ts";
import type { Release, Source, SourceKind } from "./source.ts";

/** A place for small files (lib/cache/disk-store.ts). */
export interface BlobStore {
  readBlob(name: string): Promise<Buffer | undefined>;
  /**
   * Whether it is kept, or what is there is to stay. Never rejects.
   *
   * @param replaces asked whether what is there is to be replaced, while nobody else can; default: it is
   */
  writeBlob(
    name: string,
    bytes: Uint8Array,
    replaces?: (before: Buffer) => Promise<boolean>,
  ): Promise<boolean>;
}

/** What one source keeps of the release that an address names. */
export interface KeptBy {
  readonly address: ReleaseAddress;
  readonly source: Source;
}

/** How often what is kept is read again, when others have kept something newer each time. */
const MOST_ATTEMPTS = 5;

/** Of each source the SHA-256 of what it has kept or restored the last time, which need not be verified again. */
const lastOf = new WeakMap<Source, Last>();

interface Last {
  readonly digest: Buffer;
  readonly release: Release;
}

/**
 * Keeps what proves the release, unless that is too much to be kept, or a newer one is kept by now.
 *
 * @returns whether it, or a newer one, can be had again; why not is logged. Never rejects
 */
export async function keepRelease(
  store: BlobStore,
  from: KeptBy,
  release: Release,
  log: Pick<Log, "warn">,
): Promise<boolean> {
  const { address, source } = from;
  const evidence = await source.evidence(release);
  // Without a certificate its time is only this host's clock.
  const isCertified = release.verified === "certified";
  const replaces = async (before: Buffer) => {
    if (!isCertified) return true;
    const kept = await releaseOf(before, source).catch(() => undefined);
    return kept === undefined || !isNewer(kept, release);
  };
  const name = fileNameOf(address, source.kind);
  let isKept = evidence !== undefined && (await store.writeBlob(name, evidence, replaces));
  if (isKept) lastOf.set(source, { digest: digestOf(evidence!), release });
  if (isKept && source.kind === "icfs" && address.release === undefined && release.number !== undefined) {
    try {
      await rememberKept(address, release);
    } catch (error) {
      log.warn(`cannot remember that release ${release.number} is kept: ${messageOf(error)}`);
      isKept = false;
    }
  }
  if (isCertified) {
    const { certifiedAt } = release;
    const time = Buffer.from(certifiedAt.toISOString());
    await store.writeBlob(
      newestTimeName(address.rootKey),
      time,
      async (before) => certifiedAt > timeIn(before),
    );
  }
  return isKept;
}

function isNewer(one: Release, other: Release): boolean {
  const serials = (one.channel?.serial ?? 0) - (other.channel?.serial ?? 0);
  // A channel may go back.
  if (serials !== 0) return serials > 0;
  const [a, b] = [one.number ?? 0, other.number ?? 0];
  return a > b || (a === b && one.certifiedAt > other.certifiedAt);
}

/** @throws FormatError, VerificationError when that proves nothing */
async function releaseOf(evidence: Buffer, source: Source): Promise<Release> {
  const digest = digestOf(evidence);
  const last = lastOf.get(source);
  if (last?.digest.equals(digest)) return last.release;
  const release = await source.restore(evidence);
  lastOf.set(source, { digest, release });
  return release;
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/**
 * What was kept of it, verified; undefined when there is nothing. A release that is asked for by its number may have been kept as the
 * newest one of its time.
 *
 * @throws FormatError, VerificationError when what is there proves nothing
 */
export async function keptRelease(
  store: BlobStore,
  { address, source }: KeptBy,
): Promise<Release | undefined> {
  const read = async () =>
    (await store.readBlob(fileNameOf(address, source.kind))) ??
    // Which proves no channel.
    (address.channel === undefined
      ? await store.readBlob(fileNameOf(withoutNumber(address), source.kind))
      : undefined);
  let bytes = await read();
  for (let attempt = 1; ; attempt++) {
    if (bytes === undefined) return undefined;
    try {
      const release = await source.restore(bytes);
      lastOf.set(source, { digest: digestOf(bytes), release });
      return release;
    } catch (error) {
      // Another mount may have kept a newer one meanwhile: then what was read first is no longer let through.
      const now = await read();
      if (now === undefined || now.equals(bytes) || attempt === MOST_ATTEMPTS) throw error;
      bytes = now;
    }
  }
}

/** What kind of canister the address is by what is kept of it, the best proved first; undefined: nothing is. */
export async function keptKind(store: BlobStore, address: ReleaseAddress): Promise<SourceKind | undefined> {
  for (const kind of ["icfs", "assets", "icboot"] as const) {
    for (const named of [address, withoutNumber(address)]) {
      if ((await store.readBlob(fileNameOf(named, kind))) !== undefined) return kind;
    }
  }
  return undefined;
}

function withoutNumber({ network, rootKey, canister }: ReleaseAddress): ReleaseAddress {
  return { network, rootKey, canister };
}

/** The number of the release that this host has accepted last, when that is not the kept one. @throws UserError */
export function newerThanKept({ address, source }: KeptBy, release: Release): number | undefined {
  if (source.kind !== "icfs" || address.release !== undefined || release.number === undefined)
    return undefined;
  return acceptedAfter(address, release);
}

/**
 * The newest time that a certificate of that network, seen by whoever shares the cache, has said: a clock that is behind it is wrong.
 * 1970 when there is none.
 */
export async function newestCertifiedTime(store: BlobStore, rootKey: Uint8Array): Promise<Date> {
  return timeIn(await store.readBlob(newestTimeName(rootKey)));
}

function timeIn(text: Buffer | undefined): Date {
  const time = new Date(text?.toString() ?? 0);
  return Number.isNaN(time.getTime()) ? new Date(0) : time;
}

function newestTimeName(rootKey: Uint8Array): string {
  return `newest-certified-time-${networkOf(rootKey)}`;
}

/** In file names. */
function networkOf(rootKey: Uint8Array): string {
  return createHash("sha256").update(rootKey).digest("hex").slice(0, 16);
}

/** Keeps the root key that a loopback network said it has, for each of its gateways. */
export async function keepRootKey(
  store: BlobStore,
  { gateways }: Network,
  rootKey: Uint8Array,
): Promise<void> {
  for (const url of gateways) await store.writeBlob(rootKeyName(url), rootKey);
}

/** The root key that a loopback network had, by the first gateway of which one is kept, in hexadecimal. */
export async function keptRootKey(store: BlobStore, { gateways }: Network): Promise<string | undefined> {
  for (const url of gateways) {
    const kept = await store.readBlob(rootKeyName(url));
    if (kept !== undefined) return kept.toString("hex");
  }
  return undefined;
}

function rootKeyName(url: string): string {
  return `root-key-${createHash("sha256").update(url).digest("hex").slice(0, 16)}`;
}

/** By root key: the same canister id elsewhere is another canister. */
function fileNameOf({ canister, rootKey, release, channel }: ReleaseAddress, kind: SourceKind): string {
  const network = networkOf(rootKey);
  const named = release ?? channel;
  const what = named === undefined ? "" : `@${named}`;
  return `${canister.toText()}-${network}${what}${kind === "icfs" ? "" : `.${kind}`}`;
}
