/**
 * What a host keeps of a release so that it can have it again without the network: what its source calls evidence. Where there
 * are certificates it is verified again, signature and all, each time it is read; only its age does not count then. One file
 * beside the chunks, which `icfs cache clear` leaves.
 */
import { createHash } from "node:crypto";
import type { ReleaseAddress } from "./address.ts";
import type { Release, Source, SourceKind } from "./source.ts";

/** A place for small files (lib/cache/disk-store.ts). */
export interface BlobStore {
  readBlob(name: string): Promise<Buffer | undefined>;
  /** Never rejects. */
  writeBlob(name: string, bytes: Uint8Array): Promise<void>;
}

/** What one source keeps of the release that an address names. */
export interface KeptBy {
  readonly address: ReleaseAddress;
  readonly source: Source;
}

/** The newest time that any certificate seen on this host has said: a clock that is behind it is wrong. */
const NEWEST_TIME = "newest-certified-time";

/** Keeps what proves the release, unless that is too much to be kept. */
export async function keepRelease(
  store: BlobStore,
  { address, source }: KeptBy,
  release: Release,
): Promise<void> {
  const evidence = source.evidence(release);
  if (evidence !== undefined) await store.writeBlob(fileNameOf(address, source.kind), evidence);
  // Without a certificate it is only this host's clock.
  const isCertified = release.verified === "certified";
  if (isCertified && release.certifiedAt > (await newestCertifiedTime(store))) {
    await store.writeBlob(NEWEST_TIME, Buffer.from(release.certifiedAt.toISOString()));
  }
}

/**
 * What was kept of it, verified; undefined when there is nothing.
 * @throws FormatError, VerificationError when what is there proves nothing
 */
export async function keptRelease(
  store: BlobStore,
  { address, source }: KeptBy,
): Promise<Release | undefined> {
  const bytes = await store.readBlob(fileNameOf(address, source.kind));
  return bytes === undefined ? undefined : source.restore(bytes);
}

/** What kind of canister the address is by what is kept of it, the best proved first; undefined: nothing is. */
export async function keptKind(store: BlobStore, address: ReleaseAddress): Promise<SourceKind | undefined> {
  for (const kind of ["icfs", "assets", "icboot"] as const) {
    if ((await store.readBlob(fileNameOf(address, kind))) !== undefined) return kind;
  }
  return undefined;
}

/** The newest time that a certificate kept here has said; 1970 when there is none. */
export async function newestCertifiedTime(store: BlobStore): Promise<Date> {
  const text = await store.readBlob(NEWEST_TIME);
  const time = new Date(text?.toString() ?? 0);
  return Number.isNaN(time.getTime()) ? new Date(0) : time;
}

/** Keeps the root key that a loopback network said it has. */
export async function keepRootKey(store: BlobStore, url: string, rootKey: Uint8Array): Promise<void> {
  await store.writeBlob(rootKeyName(url), rootKey);
}

/** The root key that a loopback network had, in hexadecimal. */
export async function keptRootKey(store: BlobStore, url: string): Promise<string | undefined> {
  return (await store.readBlob(rootKeyName(url)))?.toString("hex");
}

function rootKeyName(url: string): string {
  return `root-key-${createHash("sha256").update(url).digest("hex").slice(0, 16)}`;
}

/** By root key: the same canister id elsewhere is another canister. */
function fileNameOf({ canister, rootKey, release }: ReleaseAddress, kind: SourceKind): string {
  const network = createHash("sha256").update(rootKey).digest("hex").slice(0, 16);
  const what = release === undefined ? "" : `@${release}`;
  return `${canister.toText()}-${network}${what}${kind === "icfs" ? "" : `.${kind}`}`;
}
