/** The goals for a first read, relative to the alternatives. */
import type { Goal } from "../result.ts";

/** Seconds of a load by one of the ways; undefined when it was not measured. */
export type Seconds = (load: "large" | "small", way: string) => number | undefined;

/** A goal: the other way takes at least `least` times as long as icfs. */
interface Ratio {
  readonly load: "large" | "small";
  readonly way: string;
  readonly by: "icfs" | "icfs prefetching";
  readonly least: number;
}

const RATIOS: readonly Ratio[] = [
  { load: "large", way: "rclone", by: "icfs", least: 1 },
  { load: "large", way: "1 MiB after 1 MiB", by: "icfs", least: 5 },
  { load: "large", way: "sector after sector", by: "icfs", least: 1000 },
  ...(["icfs", "icfs prefetching"] as const).flatMap((by) =>
    ["rclone", "httpdirfs"].map((way) => ({ load: "small", way, by, least: 20 }) as const),
  ),
];

/** The goals whose ways were measured. @param link seconds of the link itself for the large file, and of three round trips */
export function goalsOf(seconds: Seconds, link: number): Goal[] {
  const goals: Goal[] = [];
  const large = seconds("large", "icfs");
  if (large !== undefined) {
    goals.push({
      what: "64 MiB without prefetching: the link's own time and three round trips, s",
      goal: `at most ${link.toFixed(2)}`,
      measured: large.toFixed(2),
      met: large <= link,
    });
  }
  for (const { load, way, by, least } of RATIOS) {
    const [ours, theirs] = [seconds(load, by), seconds(load, way)];
    if (ours === undefined || theirs === undefined) continue;
    const ratio = theirs / ours;
    const what = load === "large" ? "64 MiB" : "250 small files";
    goals.push({
      what: `${what}: times as fast as ${way} (${by})`,
      goal: `at least ${least}`,
      measured: ratio.toFixed(2),
      met: ratio >= least,
    });
  }
  return goals;
}
