/** Menus name the same file in many entries: what is said of it once need not be said again. */
import type { Finding } from "./finding.ts";

/** Findings with the same words about one file become one, at its first line, which counts the others. */
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
