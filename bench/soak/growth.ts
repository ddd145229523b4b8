/**
 * Decides whether something grows. A line is fitted to the samples, by a method that a few outliers do not disturb (Theil and Sen:
 * its slope is the median of the slopes of all pairs). There is growth if the line rises, over the time of the samples, by more than twice the standard
 * deviation of the samples from it, and by more than a fiftieth of their median: less than the first is noise, and less than the
 * second is negligible.
 */
import { median, sorted } from "../median.ts";

/** The rule, for people. */
export const RULE =
  "it grows when a line through its samples (Theil-Sen) rises over that time by more than twice their standard deviation from the line, and by more than 2 %";

export interface Growth {
  /** Medians of the first and the last third of the samples. */
  readonly first: number;
  readonly last: number;
  /** The rise of the line from the first sample to the last. */
  readonly rise: number;
  /** The samples' standard deviation from the line. */
  readonly deviation: number;
  readonly grows: boolean;
}

/** @param samples at equal intervals, at least three */
export function growthOf(samples: readonly number[]): Growth {
  const third = Math.floor(samples.length / 3);
  const slopes = samples.flatMap((sample, i) =>
    samples.slice(i + 1).map((later, j) => (later - sample) / (j + 1)),
  );
  const slope = median(sorted(slopes));
  const heights = samples.map((sample, i) => sample - slope * i);
  const height = median(sorted(heights));
  const squares = heights.map((at) => (at - height) ** 2);
  const deviation = Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / squares.length);
  const rise = slope * (samples.length - 1);
  return {
    first: median(sorted(samples.slice(0, third))),
    last: median(sorted(samples.slice(-third))),
    rise,
    deviation,
    grows: rise > 2 * deviation && rise > Math.abs(median(sorted(samples))) / 50,
  };
}
