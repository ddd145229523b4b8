/** The value in the middle. @param sorted at least one */
export function median(sorted: readonly number[]): number {
  return sorted[sorted.length >> 1]!;
}
