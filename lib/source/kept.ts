/**
 * What a host keeps of a release so that it can have it again without the network: what its source calls evidence. Where there
 * are certificates it is verified again, signature and all, each time it is read; only its age does not count then. One file
 * beside the chunks, which `icfs cache clear` leaves.
 */
import { createHash } from "node:crypto";
import type { ReleaseAddress } from "./address.ts";
import type { Release, Source, SourceKind } from "./source.ts";

/** A place for small files (lib/cache/disk-store.ts). */
export interface Keeper {
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

/** Keeps what proves the release. */
export async function keepRelease(
  keeper: Keeper,
  { address, source }: KeptBy,
  release: Release,
): Promise<void> {
  await keeper.writeBlob(nameOf(address, source.kind), source.evidence(release));
  // Without a certificate it is only this host's clock.
  const isCertified = release.verified === "certified";
  if (isCertified && release.certifiedAt > (await newestCertifiedTime(keeper))) {
    await keeper.writeBlob(NEWEST_TIME, Buffer.from(release.certifiedAt.toISOString()));
  }
}

/**
 * What was kept of it, verified; undefined when there is nothing.
 * @throws FormatError, VerificationError when what is there proves nothing
 */
export async function keptRelease(keeper: Keeper, { address, source }: KeptBy): Promise<Release | undefined> {
  const bytes = await keeper.readBlob(nameOf(address, source.kind));
  return bytes === undefined ? undefined : source.restore(bytes);
}

/** What kind of canister the address is by what is kept of it, the best proved first; undefined: nothing is. */
export async function keptKind(keeper: Keeper, address: ReleaseAddress): Promise<SourceKind | undefined> {
  for (const kind of ["icfs", "assets", "icboot"] as const) {
    if ((await keeper.readBlob(nameOf(address, kind))) !== undefined) return kind;
  }
  return undefined;
}

/** The newest time that a certificate kept here has said; 1970 when there is none. */
export async function newestCertifiedTime(keeper: Keeper): Promise<Date> {
  const text = await keeper.readBlob(NEWEST_TIME);
  const time = new Date(text?.toString() ?? 0);
  return Number.isNaN(time.getTime()) ? new Date(0) : time;
}

/** Keeps the root key that a loopback network said it has. */
export async function keepRootKey(keeper: Keeper, url: string, rootKey: Uint8Array): Promise<void> {
  await keeper.writeBlob(rootKeyName(url), rootKey);
}

/** The root key that a loopback network had, in hexadecimal. */
export async function keptRootKey(keeper: Keeper, url: string): Promise<string | undefined> {
  return (await keeper.readBlob(rootKeyName(url)))?.toString("hex");
}

function rootKeyName(url: string): string {
  return `root-key-${createHash("sha256").update(url).digest("hex").slice(0, 16)}`;
}

/** By root key: the same canister id elsewhere is another canister. */
function nameOf({ canister, rootKey, release }: ReleaseAddress, kind: SourceKind): string {
  const network = createHash("sha256").update(rootKey).digest("hex").slice(0, 16);
  const what = release === undefined ? "" : `@${release}`;
  return `${canister.toText()}-${network}${what}${kind === "icfs" ? "" : `.${kind}`}`;
}
