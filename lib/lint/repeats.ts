/** Merges repeated findings: menus name the same file in many entries, but one finding about it is enough. */
import type { Finding } from "./finding.ts";

/** Merges findings about one file with the same text into one, at the first line, with the number of the others. */
export function withoutRepeats(findings: readonly Finding[]): Finding[] {
  const groups = Map.groupBy(findings, ({ kind, file, problem }) => `${kind}\n${file}\n${problem}`);
  return [...groups.values()].map((group) => {
    const lines = new Set(group.map(({ line }) => line));
    const first = group[0]!;
    if (lines.size === 1) return first;
    return {
      ...first,
      problem: `${first.problem} (and so in ${lines.size - 1} more ${lines.size === 2 ? "line" : "lines"})`,
    };
  });
}
