/** What --mirror, --mirror-only and --max-stale mean. */
import { Mirrors } from "../source/icfs/mirrors.ts";
import { checkMirrors, type MirrorOptions } from "./options.ts";

/** @returns undefined where no mirror is named. @throws UsageError */
export function mirrorsOf(options: Partial<MirrorOptions>): Mirrors | undefined {
  checkMirrors(options);
  const { mirror, mirrorOnly, maxStale } = options;
  if (mirror === undefined || mirror.length === 0) return undefined;
  return new Mirrors(mirror, {
    only: mirrorOnly === true,
    // Who has set no limit has not said that an old proof will do.
    maxStale: maxStale === undefined || maxStale === Number.POSITIVE_INFINITY ? 0 : maxStale,
  });
}
