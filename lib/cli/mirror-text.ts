/** The state of a mirror as text, for `icfs status` and `icfs verify`. */
import type { MirrorHealth } from "../source/icfs/mirrors.ts";
import { sizeText } from "../units.ts";

export function mirrorText(mirror: MirrorHealth): string {
  const { url, usual, chunks, bytes, missing, failures, late, limited, wrong, aside } = mirror;
  const time = usual === undefined ? "" : `, usually begun in ${usual} ms`;
  const state = aside === undefined ? "" : `; put aside until ${aside.until}: ${aside.why}`;
  return `${url}: ${chunks} chunks, ${sizeText(bytes)}${time}; ${missing} missing, ${failures} failures, ${late} late, ${limited} limited, ${wrong} wrong${state}`;
}
