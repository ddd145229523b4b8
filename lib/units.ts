/** Numbers for people. Scripts get plain ones (--json). */

/** 1.2 kB, 34.5 MB: decimal, as network speeds are. */
export function megabytes(bytes: number): string {
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
