/** The results as people read them. */
import { megabytes } from "../../lib/units.ts";
import type { Measured, Summary } from "./measure.ts";

const HEADINGS = [
  ...["", "DHCP ms", "", "", "", "DNS ms", "", "", "", "un-"],
  ...["TFTP", "", "", "release"],
];
const SECOND_HEADINGS = [
  ...["scenario", "median", "99 %", "worst", "× local", "median", "99 %", "worst", "× local", "answered"],
  ...["bytes", "files", "failed", "served"],
];

/** A line a scenario; worst times are compared with those of a local directory. */
export function table(results: readonly Measured[]): string {
  const baseOf = (result: Measured) => results.find(({ name }) => name === result.local) ?? result;
  const lines = [HEADINGS, SECOND_HEADINGS, ...results.map((result) => cells(result, baseOf(result)))];
  const widths = SECOND_HEADINGS.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const rows = lines.map((line) =>
    line
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
  const asked = results.reduce(
    (sum, { dhcp, dns }) => sum + dhcp.answered + dns.answered + lost(dhcp, dns),
    0,
  );
  const failures = results.flatMap(({ name, tftp }) =>
    Object.entries(tftp.failures).map(([message, count]) => `${name}: ${count} × ${message}`),
  );
  return [...rows, "", `${asked} questions were asked`, ...failures].join("\n");
}

function cells({ name, dhcp, dns, tftp, release }: Measured, local: Measured): string[] {
  const times = ({ median, percentile99, worst }: Summary, base: Summary) => [
    ...[median, percentile99, worst].map((ms) => ms.toFixed(1)),
    (worst / base.worst).toFixed(1),
  ];
  const failed = Object.values(tftp.failures).reduce((sum, count) => sum + count, 0);
  return [
    name,
    ...times(dhcp, local.dhcp),
    ...times(dns, local.dns),
    String(lost(dhcp, dns)),
    ...[megabytes(tftp.bytes), String(tftp.files), String(failed), String(release ?? "")],
  ];
}

function lost(dhcp: Summary, dns: Summary): number {
  return dhcp.unanswered + dns.unanswered;
}
