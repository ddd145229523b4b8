/**
 * Reads machines from CSV (RFC 4180): a first line with the columns' names, then one machine per line. Columns other than mac,
 * name and group are variables.
 */
import { type CsvError, parse } from "csv-parse/sync";
import { messageOf } from "../errors.ts";
import type { FileProblems } from "./file-problems.ts";
import type { Hosts, Listed } from "./hosts.ts";
import { type Given, nameProblem, plainValue } from "./values.ts";

interface Row {
  readonly record: readonly string[];
  /** The number of the record's last line. */
  readonly info: { readonly lines: number };
}

/** In place of the parser's words, some of which quote the value: it could be a password. */
const QUOTES =
  'a quote is in the middle of a value: put all of the value in quotes, and double those in it, as in "a ""b"" c"';
const PROBLEMS: Readonly<Record<string, string>> = {
  CSV_RECORD_INCONSISTENT_FIELDS_LENGTH: "the line has more or fewer values than the first line has columns",
  INVALID_OPENING_QUOTE: QUOTES,
  CSV_INVALID_CLOSING_QUOTE: QUOTES,
};

/** @param problems receives errors; if there are any, do not use the result */
export function csvHosts(text: string, problems: FileProblems): Hosts {
  const none = { defaults: new Map(), groups: undefined, machines: [] };
  const read = rowsOf(text, problems);
  if (read === undefined) return none;
  const [head, ...rows] = read;
  const columns = head?.record ?? [];
  const line = head?.info.lines;
  if (!columns.includes("mac") || !columns.includes("name")) {
    problems.add(
      line,
      "the first line names no columns mac and name: write mac,name,group, and further columns for variables",
    );
    return none;
  }
  for (const [i, column] of columns.entries()) {
    const problem = /^(mac|name|group)$/.test(column) ? undefined : nameProblem(column);
    if (problem !== undefined) problems.add(line, problem);
    if (columns.indexOf(column) < i) problems.add(line, `the column ${column} is there twice: leave out one`);
  }
  return { defaults: new Map(), groups: undefined, machines: rows.map((row) => machineIn(row, columns)) };
}

function rowsOf(text: string, problems: FileProblems): Row[] | undefined {
  try {
    return parse(text, {
      bom: true,
      comment: "#",
      comment_no_infix: true,
      info: true,
      // Detected, it would be the first line's, although files are written on several systems.
      record_delimiter: ["\r\n", "\n", "\r"],
      skip_empty_lines: true,
      skip_records_with_empty_values: true,
      trim: true,
    }) as unknown as Row[];
  } catch (error) {
    const { code, lines } = error as CsvError & { readonly lines?: number };
    problems.add(lines, PROBLEMS[code] ?? messageOf(error));
    return undefined;
  }
}

function machineIn({ record, info: { lines: line } }: Row, columns: readonly string[]): Listed {
  const own: { mac?: string; name?: string; group?: string } = {};
  const variables = new Map<string, Given>();
  for (const [i, column] of columns.entries()) {
    // An empty field counts as if the machine had no such column.
    const text = record[i] ?? "";
    if (text === "") continue;
    if (column === "mac" || column === "name" || column === "group") own[column] = text;
    else variables.set(column, { value: plainValue(text), line });
  }
  return { line, mac: own.mac, name: own.name, group: own.group, variables };
}
