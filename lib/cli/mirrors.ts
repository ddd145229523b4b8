/** Makes Mirrors from --mirror, --mirror-only and --max-stale. */
import { Mirrors } from "../source/icfs/mirrors.ts";
import { checkMirrors, type MirrorOptions } from "./options.ts";

/** @param whole as in Mirrors. @returns undefined where no mirror is given. @throws UsageError */
export function mirrorsOf(options: Partial<MirrorOptions>, whole?: number): Mirrors | undefined {
  checkMirrors(options);
  const { mirror, mirrorOnly, maxStale } = options;
  if (mirror === undefined || mirror.length === 0) return undefined;
  return new Mirrors(mirror, {
    only: mirrorOnly === true,
    // Without a limit, old proofs are not accepted from mirrors.
    maxStale: maxStale === undefined || maxStale === Number.POSITIVE_INFINITY ? 0 : maxStale,
    ...(whole !== undefined && { whole }),
  });
}
