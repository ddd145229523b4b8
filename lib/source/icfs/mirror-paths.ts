/** The paths on a mirror: those of the canister's own URLs (docs/PROTOCOL.md), below the mirror's URL. */

/** The directory that has all these paths. */
export const MIRROR_DIRECTORY = ".icfs";
export const HEADERS = "headers";
export const CHUNKS = "chunk";
export const RELEASE = "release";
export const CHANNEL = "channel";

/** The proof of the newest release. */
export const releasePath = `${MIRROR_DIRECTORY}/${RELEASE}`;

/** The proof of the newest release, and of a channel's last record. */
export function channelPath(name: string): string {
  return `${MIRROR_DIRECTORY}/${CHANNEL}/${name}`;
}

/** The headers from release `from` downwards. */
export function headersPath(from: number): string {
  return `${MIRROR_DIRECTORY}/${HEADERS}/${from}`;
}

/** @param sha256 in hexadecimal, in lower case */
export function chunkPath(sha256: string): string {
  return `${MIRROR_DIRECTORY}/${CHUNKS}/${sha256}`;
}
