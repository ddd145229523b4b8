/** Formats the scenarios' results for people. */
import { sizeText } from "../../lib/units.ts";
import type { Table } from "../result.ts";
import type { Measured, Summary } from "./measure.ts";

const COLUMNS = [
  ...[
    "scenario",
    "DHCP ms, median",
    "99 %",
    "worst",
    "× local",
    "DNS ms, median",
    "99 %",
    "worst",
    "× local",
  ],
  ...["unanswered", "TFTP bytes", "files", "failed", "release"],
];

/** One row per scenario; worst times are compared with those of a local directory. */
export function scenarioTable(results: readonly Measured[]): Table {
  const baseOf = (result: Measured) => results.find(({ name }) => name === result.local) ?? result;
  return { columns: COLUMNS, rows: results.map((result) => cells(result, baseOf(result))) };
}

/** How many queries were sent, and which transfers failed, and how. */
export function countsOf(results: readonly Measured[]): string {
  const asked = results.reduce(
    (sum, { dhcp, dns }) => sum + dhcp.answered + dns.answered + lost(dhcp, dns),
    0,
  );
  const failures = results.flatMap(({ name, tftp }) =>
    Object.entries(tftp.failures).map(([message, count]) => `${name}: ${count} × ${message}`),
  );
  const failed =
    failures.length === 0 ? "No transfer failed." : `Transfers that failed: ${failures.join("; ")}.`;
  return `${asked} queries were sent. ${failed}`;
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
    ...[sizeText(tftp.bytes), String(tftp.files), String(failed), String(release ?? "")],
  ];
}

function lost(dhcp: Summary, dns: Summary): number {
  return dhcp.unanswered + dns.unanswered;
}
