/** The middle value; of an even number of values, the upper of the two. @param sorted at least one */
export function median(sorted: readonly number[]): number {
  return sorted[sorted.length >> 1]!;
}

/** Smallest first. */
export function sorted(values: readonly number[]): number[] {
  return values.toSorted((a, b) => a - b);
}

/** Cells of a table: median, minimum and maximum. @param values sorted */
export function spread(values: readonly number[], digits: number): string[] {
  return [median(values), values[0]!, values.at(-1)!].map((value) => value.toFixed(digits));
}
