/** Numbers as people read and write them. Scripts get plain ones (--json). */

/** 1.2 kB, 34.5 MB: decimal, as network speeds are. */
export function megabytes(bytes: number): string {
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  ...Object.fromEntries(["k", "m", "g", "t"].map((prefix, i) => [`${prefix}b`, 1000 ** (i + 1)])),
  ...Object.fromEntries(["k", "m", "g", "t"].map((prefix, i) => [`${prefix}ib`, 1024 ** (i + 1)])),
};

/** A number of bytes: `5000`, `1.5 GB`, `20GiB`; undefined when it is none. */
export function parseBytes(text: string): number | undefined {
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?([kmgt]i?b|)$/i.exec(text) ?? [];
  if (number === undefined) return undefined;
  const bytes = Number(number) * UNITS[unit!.toLowerCase()]!;
  return Number.isSafeInteger(Math.round(bytes)) ? Math.round(bytes) : undefined;
}
