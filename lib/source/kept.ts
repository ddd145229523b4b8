/**
 * What a host keeps of a release so that it can prove it again without the network: the proof of the newest release, and
 * for an older one the headers in between. It is verified again, signature and all, each time it is read: only its age
 * does not count then. One small file beside the chunks, which `icfs cache clear` leaves.
 */
import { createHash } from "node:crypto";
import { FormatError } from "../errors.ts";
import { type Evidence, type ProvenRelease, type ReleaseAddress, restoreRelease } from "./open.ts";
import type { Source } from "./source.ts";

/** A place for small files (lib/cache/disk-store.ts). */
export interface Keeper {
  readBlob(name: string): Promise<Buffer | undefined>;
  /** Never rejects. */
  writeBlob(name: string, bytes: Uint8Array): Promise<void>;
}

/** The newest time that any certificate seen on this host has said: a clock that is behind it is wrong. */
const NEWEST_TIME = "newest-certified-time";

/** Keeps what proves the release that an address names. */
export async function keepRelease(
  keeper: Keeper,
  address: ReleaseAddress,
  { evidence, certifiedAt }: ProvenRelease,
): Promise<void> {
  const { proof, headers } = evidence;
  await keeper.writeBlob(
    nameOf(address),
    Buffer.from(JSON.stringify({ proof: base64(proof), headers: headers.map(base64) })),
  );
  if (certifiedAt > (await newestCertifiedTime(keeper))) {
    await keeper.writeBlob(NEWEST_TIME, Buffer.from(certifiedAt.toISOString()));
  }
}

/**
 * What was kept of it, verified; undefined when there is nothing.
 * @throws FormatError, VerificationError when what is there proves nothing
 */
export async function keptRelease(
  keeper: Keeper,
  address: ReleaseAddress,
  source: Source,
): Promise<ProvenRelease | undefined> {
  const bytes = await keeper.readBlob(nameOf(address));
  return bytes === undefined ? undefined : restoreRelease(address, decode(bytes), source);
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
function nameOf({ canister, rootKey, release }: ReleaseAddress): string {
  const network = createHash("sha256").update(rootKey).digest("hex").slice(0, 16);
  return `${canister.toText()}-${network}${release === undefined ? "" : `@${release}`}`;
}

function decode(bytes: Buffer): Evidence {
  try {
    const { proof, headers } = JSON.parse(bytes.toString()) as { proof: string; headers: string[] };
    return { proof: Buffer.from(proof, "base64"), headers: headers.map((h) => Buffer.from(h, "base64")) };
  } catch {
    throw new FormatError("what was kept of the release cannot be read");
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
