/** Chooses the media type of a file by its name, as web servers do. */
import { lookup } from "mime-types";

/** Types in which the canister differs from mime-types (canister/contenttype.mo): firmware checks some of them, people read others. */
const OURS: Readonly<Record<string, string>> = {
  iso: "application/vnd.efi.iso",
  img: "application/vnd.efi.img",
  efi: "application/efi",
  zst: "application/zstd",
  cfg: "text/plain",
  conf: "text/plain",
  ipxe: "text/plain",
  md: "text/plain",
  xml: "text/xml",
  yaml: "application/yaml",
  yml: "application/yaml",
};

/** @param path of a file */
export function mediaTypeOf(path: string): string {
  const ending = /\.([^./]+)$/.exec(path)?.[1]?.toLowerCase() ?? "";
  const ours = Object.hasOwn(OURS, ending) ? OURS[ending] : undefined;
  const type = ours ?? (lookup(`.${ending}`) || "application/octet-stream");
  return type.startsWith("text/") ? `${type}; charset=utf-8` : type;
}
