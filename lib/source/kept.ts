/**
 * What a host keeps of a release in order to open it again offline: the source's evidence. Certificates in it are verified again each time,
 * including their signatures, but not their age. It is one file next to the chunks, which `icfs cache clear` does not remove.
 */
import { createHash } from "node:crypto";
import { messageOf } from "../errors.ts";
import type { Network } from "../ic/network.ts";
import type { Log } from "../log.ts";
import type { ReleaseAddress } from "./address.ts";
import { acceptedAfter, isDeleted, rememberKept } from "./icfs/accepted-releases.ts";
import { absent } from "./icfs/channels.ts";
import type { Release, Source, SourceKind } from "./source.ts";

/** A place for small files (lib/cache/disk-store.ts). */
export interface BlobStore {
  readBlob(name: string): Promise<Buffer | undefined>;
  /**
   * Whether it was stored, or the existing one should stay. Never rejects.
   *
   * @param replaces decides, under the lock, whether the existing one is replaced; default: yes
   */
  writeBlob(
    name: string,
    bytes: Uint8Array,
    replaces?: (before: Buffer) => Promise<boolean>,
  ): Promise<boolean>;
}

/** An address, and the source that makes and reads the evidence of the release that it names. */
export interface KeptBy {
  readonly address: ReleaseAddress;
  readonly source: Source;
}

/** How often the kept file is read at most, if others have kept something newer each time. */
const MOST_ATTEMPTS = 5;

/** For each source, the SHA-256 of what it last kept or restored, which need not be verified again. */
const lastOf = new WeakMap<Source, Last>();

interface Last {
  readonly digest: Buffer;
  readonly release: Release;
}

/**
 * Keeps the release's proof, unless it is too large, or a newer one is kept by now.
 *
 * @returns whether it, or a newer one, can be opened again; why not is logged. Never rejects
 */
export async function keepRelease(
  store: BlobStore,
  from: KeptBy,
  release: Release,
  log: Pick<Log, "warn">,
): Promise<boolean> {
  const { address, source } = from;
  const evidence = await source.evidence(release);
  // Without a certificate, the release's time is only that of this host's clock.
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
  // A channel can go back to an older release.
  if (serials !== 0) return serials > 0;
  const [a, b] = [one.number ?? 0, other.number ?? 0];
  return a > b || (a === b && one.certifiedAt > other.certifiedAt);
}

/** The release that evidence proves. @throws FormatError, VerificationError when it proves none */
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
 * The kept release, verified; undefined when there is none. A release that is requested by number may have been kept as the
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
    // That file does not prove a channel.
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
      // Another mount may have kept a newer one meanwhile: then the one that was read first is no longer accepted.
      const now = await read();
      if (now === undefined || now.equals(bytes) || attempt === MOST_ATTEMPTS) throw error;
      bytes = now;
    }
  }
}

/** The kept headers below an icfs canister's newest release, to serve them to others. What is read is not verified. */
export function keptHeaders(store: BlobStore, address: ReleaseAddress) {
  const name = `${fileNameOf(withoutNumber(address), "icfs")}.headers`;
  return {
    read: () => store.readBlob(name),
    write: (bytes: Uint8Array) => store.writeBlob(name, bytes),
  };
}

/** The canister's kind, by what is kept of it. If several are, the one that is proved best; undefined when nothing is kept. */
export async function keptKind(store: BlobStore, address: ReleaseAddress): Promise<SourceKind | undefined> {
  for (const kind of ["icfs", "assets", "icboot"] as const) {
    const whole = withoutNumber(address);
    // Other kinds have no releases. (A channel's name may end as the names of their files do: `stable.assets`.)
    for (const named of kind === "icfs" ? [address, whole] : [whole]) {
      if ((await store.readBlob(fileNameOf(named, kind))) !== undefined) return kind;
    }
  }
  return undefined;
}

function withoutNumber({ network, rootKey, canister }: ReleaseAddress): ReleaseAddress {
  return { network, rootKey, canister };
}

/**
 * Refuses a channel that this host knows to be deleted: its last release is still kept, but must not be served.
 *
 * @throws AbsentChannelError
 */
export function mustNotBeDeleted(address: ReleaseAddress): void {
  if (address.channel !== undefined && isDeleted(address)) throw absent(address.canister, address.channel);
}

/** The number of a release that this host has accepted after the kept one; undefined when there is none. @throws UserError */
export function newerThanKept({ address, source }: KeptBy, release: Release): number | undefined {
  if (source.kind !== "icfs" || address.release !== undefined || release.number === undefined)
    return undefined;
  return acceptedAfter(address, release);
}

/**
 * The newest time in any certificate of that network that a user of this cache has kept: a clock that is behind it is wrong. 1970 when
 * there is none.
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

/** What stands for a network in file names: 16 digits of its root key's SHA-256. */
function networkOf(rootKey: Uint8Array): string {
  return createHash("sha256").update(rootKey).digest("hex").slice(0, 16);
}

/** Keeps the root key of a loopback network, for each of its gateways. */
export async function keepRootKey(
  store: BlobStore,
  { gateways }: Network,
  rootKey: Uint8Array,
): Promise<void> {
  for (const url of gateways) await store.writeBlob(rootKeyName(url), rootKey);
}

/** The kept root key of a loopback network, from the first gateway that has one, in hexadecimal. */
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

/** The name of the file with the evidence. It depends on the root key: the same canister id elsewhere is another canister. */
function fileNameOf({ canister, rootKey, release, channel }: ReleaseAddress, kind: SourceKind): string {
  const network = networkOf(rootKey);
  const named = release ?? channel;
  const what = named === undefined ? "" : `@${named}`;
  // A channel's name may end as that of an unfinished file, which is removed after a day (lib/replace-file.ts).
  const end = what.endsWith(".new") ? "~" : "";
  return `${canister.toText()}-${network}${what}${end}${kind === "icfs" ? "" : `.${kind}`}`;
}
