/** Where a mirror has what an icfs canister has: the paths of the canister's own URLs (docs/PROTOCOL.md), below the mirror's. */

/** Below which all of them are. */
export const MIRROR_DIRECTORY = ".icfs";
export const HEADERS = "headers";
export const CHUNKS = "chunk";
export const RELEASE = "release";
export const CHANNEL = "channel";

export const releasePath = `${MIRROR_DIRECTORY}/${RELEASE}`;

/** Of what proves the newest release, and a channel's last record. */
export function channelPath(name: string): string {
  return `${MIRROR_DIRECTORY}/${CHANNEL}/${name}`;
}

/** Of the headers from release `from` downwards. */
export function headersPath(from: number): string {
  return `${MIRROR_DIRECTORY}/${HEADERS}/${from}`;
}

/** @param sha256 in hexadecimal, in lower case */
export function chunkPath(sha256: string): string {
  return `${MIRROR_DIRECTORY}/${CHUNKS}/${sha256}`;
}
