/** bench/RESULTS.md: the goals of all measurements at a glance, the machine, and then each with its command. */
import type { Machine } from "./machine.ts";
import { goalsInMarkdown, markdown, type Result } from "./result.ts";

/** A result, with when and how it was measured. */
export interface Measurement {
  readonly command: string;
  /** ISO 8601 */
  readonly date: string;
  /** The duration of the measurement. */
  readonly minutes: number;
  readonly commit: string;
  readonly machine: Machine;
  readonly result: Result;
}

export function resultsPage(measurements: readonly Measurement[]): string {
  const goals = measurements.flatMap(({ result }) => result.goals);
  const met = goals.filter((goal) => goal.met).length;
  return `${[
    "# What was measured",
    "Written by `make bench` (bench/all.ts) from bench/results: do not edit. Everything ran on one machine, and what is compared ran in turn in one run. The far network is `icfs localnet` with a simulated line; nothing here was measured on the main network.",
    ...machines(measurements),
    `## Goals: ${met} of ${goals.length} are met`,
    goalsInMarkdown(goals),
    ...measurements.flatMap(section),
  ].join("\n\n")}\n`;
}

function section({ command, date, minutes, commit, result }: Measurement): string[] {
  return [
    `## ${result.title}`,
    `\`${command}\`, ${date}, ${minutes} min, commit ${commit}.`,
    markdown(result),
  ];
}

/** Describes each machine and set of versions and, when there are several, what was measured on it. */
function machines(measurements: readonly Measurement[]): string[] {
  const groups = Map.groupBy(measurements, ({ machine }) => JSON.stringify(machine));
  return [...groups.values()].map((group) => {
    const { processors, memory, kernel, versions } = group[0]!.machine;
    const titles = group.map(({ result }) => result.title).join(", ");
    const which = groups.size > 1 ? ` (${titles})` : "";
    return `Machine${which}: ${processors}, ${memory}, ${kernel}. Versions: ${versions.join(", ")}.`;
  });
}
