/** Numbers as people read and write them. Scripts get plain ones (--json). */

/** A count with its noun: 1 file, 2 files. */
export function countText(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** A number of bytes for people: 1.2 kB, 34.5 MB, 107.4 GB; decimal, as network speeds are. */
export function sizeText(bytes: number): string {
  let size = 1000;
  for (const unit of ["kB", "MB", "GB"]) {
    // Rounded first: 999,999 bytes are 1.0 MB, not 1000.0 kB.
    const text = (bytes / size).toFixed(1);
    if (Number(text) < 1000) return `${text} ${unit}`;
    size *= 1000;
  }
  return `${(bytes / size).toFixed(1)} TB`;
}

/** A limit exactly as it was set: 100 GiB, 1.5 GiB, 256 MiB, 20 GB, 500 kB, 12 bytes. */
export function limitText(bytes: number): string {
  for (const [unit, size] of [
    ["TiB", 2 ** 40],
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["TB", 1e12],
    ["GB", 1e9],
    ["MB", 1e6],
    ["kB", 1000],
  ] as const) {
    const tenths = (10 * bytes) / size;
    if (tenths >= 10 && Number.isInteger(tenths)) return `${tenths / 10} ${unit}`;
  }
  return `${bytes} bytes`;
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  ...Object.fromEntries(["k", "m", "g", "t"].map((prefix, i) => [`${prefix}b`, 1000 ** (i + 1)])),
  ...Object.fromEntries(["k", "m", "g", "t"].map((prefix, i) => [`${prefix}ib`, 1024 ** (i + 1)])),
};

/** A number of bytes: `5000`, `1.5 GB`, `20GiB`; undefined when it is not one. */
export function parseBytes(text: string): number | undefined {
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?([kmgt]i?b|)$/i.exec(text) ?? [];
  if (number === undefined) return undefined;
  const bytes = Number(number) * UNITS[unit!.toLowerCase()]!;
  return Number.isSafeInteger(Math.round(bytes)) ? Math.round(bytes) : undefined;
}

/** A number of bytes, or a plain number of MiB: `64`, `64MiB`, `1.5 GB`; undefined when it is neither. */
export function parseMebibytes(text: string): number | undefined {
  return /^\d+$/.test(text) ? parseBytes(`${text}MiB`) : parseBytes(text);
}

const SECONDS: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86_400 };

/** Milliseconds: `30`, `2.5`, `30s`, `10m`, `2h`, `7d`; undefined when it is not a duration. */
export function parseDuration(text: string): number | undefined {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([smhd]?)$/.exec(text) ?? [];
  if (number === undefined) return undefined;
  const milliseconds = Math.round(Number(number) * SECONDS[unit!]! * 1000);
  return Number.isSafeInteger(milliseconds) ? milliseconds : undefined;
}

/** How long ago something was, for people: 12 s, 3 min, 5 h, 2 d. @param milliseconds negative ones count as 0 */
export function ageText(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(seconds / 3600);
  if (hours < 48) return `${hours} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

const CYCLES: Readonly<Record<string, bigint>> = {
  "": 1n,
  k: 10n ** 3n,
  m: 10n ** 6n,
  b: 10n ** 9n,
  t: 10n ** 12n,
};

/** A number of cycles, exactly: `2T`, `1.5 T`, `500B`, `2_000_000_000_000`; undefined when it is not a whole number of cycles. */
export function parseCycles(text: string): bigint | undefined {
  const [, whole, fraction = "", unit] = /^(\d[\d_]{0,40})(?:\.(\d{1,12}))? ?([kmbt]?)$/i.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const each = CYCLES[unit!.toLowerCase()]!;
  const parts = 10n ** BigInt(fraction.length);
  const sum = (BigInt(whole.replaceAll("_", "")) * parts + BigInt(`0${fraction}`)) * each;
  return sum % parts === 0n ? sum / parts : undefined;
}

/** A number of cycles for people, in T (10^12) with up to four decimal places, rounded down: 2 T, 1.4999 T, 0 T. */
export function cyclesText(cycles: bigint): string {
  const digits = (cycles / 10n ** 8n).toString().padStart(5, "0");
  const fraction = digits.slice(-4).replace(/0+$/, "");
  return `${digits.slice(0, -4)}${fraction === "" ? "" : `.${fraction}`} T`;
}
