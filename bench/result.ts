/**
 * The result of a benchmark: tables, and its goals beside the measured values. Printed as Markdown on a terminal, and as JSON for
 * bench/all.ts.
 */

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

export interface Goal {
  /** What is compared, and how, such as "a first read of 64 MiB, seconds". */
  readonly what: string;
  /** Such as "at most 1.52". */
  readonly goal: string;
  readonly measured: string;
  readonly met: boolean;
}

export interface Result {
  readonly title: string;
  /** A paragraph: what was measured, under which conditions, and how often. */
  readonly about: string;
  readonly tables: readonly Table[];
  readonly goals: readonly Goal[];
}

/** Prints a result. @param json as JSON, for bench/all.ts */
export function print(result: Result, json: boolean): void {
  console.log(json ? JSON.stringify(result) : markdown(result));
}

/** Without a heading. */
export function markdown({ about, tables, goals }: Result): string {
  const parts = [about, ...tables.map(tableInMarkdown)];
  if (goals.length > 0) parts.push(goalsInMarkdown(goals));
  return parts.join("\n\n");
}

export function goalsInMarkdown(goals: readonly Goal[]): string {
  return tableInMarkdown({
    columns: ["goal", "is to be", "is", ""],
    rows: goals.map(({ what, goal, measured, met }) => [what, goal, measured, met ? "met" : "**not met**"]),
  });
}

export function tableInMarkdown({ columns, rows }: Table): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;
  return [line(columns), line(columns.map(() => "---")), ...rows.map(line)].join("\n");
}
