/** The media type that a file is served with: by its name, as web servers do. */
import { contentType } from "mime-types";

/** What firmware goes by (UEFI HTTP Boot), and what people read: as the canister has them (canister/contenttype.mo). */
const OURS: Readonly<Record<string, string>> = {
  iso: "application/vnd.efi.iso",
  img: "application/vnd.efi.img",
  efi: "application/efi",
  cfg: "text/plain; charset=utf-8",
  conf: "text/plain; charset=utf-8",
  ipxe: "text/plain; charset=utf-8",
  md: "text/plain; charset=utf-8",
};
const OF_BYTES = "application/octet-stream";

/** @param path of a file */
export function mediaTypeOf(path: string): string {
  const ending = /\.([^./]+)$/.exec(path)?.[1]?.toLowerCase();
  if (ending === undefined) return OF_BYTES;
  return (Object.hasOwn(OURS, ending) ? OURS[ending] : undefined) ?? (contentType(`.${ending}`) || OF_BYTES);
}
