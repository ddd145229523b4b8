/** Checks a list of machines: each gets its MAC, its name, and all variables that apply to it. */
import { parseMac } from "../ledger/line.ts";
import type { FileProblems } from "./file-problems.ts";
import type { Value, Variables } from "./values.ts";

/** A machine as it is written in a file. */
export interface Listed {
  /** From 1. */
  readonly line: number;
  readonly mac: string | undefined;
  readonly name: string | undefined;
  readonly group: string | undefined;
  readonly variables: Variables;
}

/** The content of a file. */
export interface Hosts {
  readonly defaults: Variables;
  /** Undefined in a file that can only name groups: then any name is a group. */
  readonly groups: ReadonlyMap<string, Variables> | undefined;
  readonly machines: readonly Listed[];
}

export interface Machine {
  /** In lower case, with colons: 52:54:00:69:63:66. */
  readonly mac: string;
  readonly name: string;
  readonly group: string | undefined;
  /** From 1, in the file. */
  readonly line: number;
  /** Its own variables, its group's and those of all machines; the more specific one wins. */
  readonly variables: Readonly<Record<string, Value>>;
}

/** As many as a release can contain files. */
export const MOST_MACHINES = 100_000;

/**
 * Checks the content of a file, and returns its machines in the order of their MACs.
 *
 * @param problems receives errors; if there are any, machines may be missing
 */
export function machinesIn({ defaults, groups, machines }: Hosts, problems: FileProblems): Machine[] {
  if (machines.length > MOST_MACHINES) {
    problems.add(undefined, `there are ${machines.length} machines, over the limit of ${MOST_MACHINES}`);
    return [];
  }
  const lines = new Map<string, number>();
  const found: Machine[] = [];
  for (const { line, mac: written, name, group, variables } of machines) {
    const mac = macIn(written, line, problems);
    const problem = hostNameProblem(name);
    if (problem !== undefined) problems.add(line, problem);
    if (group !== undefined && groups?.has(group) === false) {
      problems.add(line, `there is no group ${JSON.stringify(group)}: ${groupsText(groups)}`);
    }
    if (mac === undefined || name === undefined) continue;
    const before = lines.get(mac);
    if (before !== undefined)
      problems.add(line, `the MAC ${mac} is in line ${before} already: leave out one`);
    lines.set(mac, line);
    const inherited = group === undefined ? undefined : groups?.get(group);
    const all = [defaults, inherited, variables].flatMap((some) => [...(some ?? [])]);
    found.push({
      mac,
      name,
      group,
      line,
      variables: Object.fromEntries(all.map(([n, { value }]) => [n, value])),
    });
  }
  return found.sort((a, b) => (a.mac < b.mac ? -1 : 1));
}

function macIn(written: string | undefined, line: number, problems: FileProblems): string | undefined {
  if (written === undefined) {
    problems.add(line, "the machine has no mac: give the address of the network card that it boots from");
    return undefined;
  }
  const mac = parseMac(written);
  if (mac === undefined) {
    problems.add(line, `${JSON.stringify(written)} is not a MAC address: write it as 52:54:00:69:63:66`);
    return undefined;
  }
  if (Number.parseInt(mac, 16) % 2 === 1 || mac === "00:00:00:00:00:00") {
    problems.add(line, `no network card has the MAC ${mac}: its first byte is odd, or all of it is zero`);
    return undefined;
  }
  return mac;
}

const LABEL = /^[a-z\d]([a-z\d-]{0,61}[a-z\d])?$/i;
const MOST_NAME_CHARS = 253;

/** RFC 1123, section 2.1. */
function hostNameProblem(name: string | undefined): string | undefined {
  if (name === undefined) return "the machine has no name: give it a host name";
  if (name.length <= MOST_NAME_CHARS && name.split(".").every((label) => LABEL.test(label))) return undefined;
  return `${JSON.stringify(name.slice(0, MOST_NAME_CHARS))} is not a host name: use letters, digits, - and dots, as in web-1.example.net`;
}

const MOST_GROUPS_NAMED = 10;

function groupsText(groups: ReadonlyMap<string, Variables>): string {
  if (groups.size === 0) return "list it under groups:";
  const names = [...groups.keys()];
  return `list it under groups:, or use one of ${names.slice(0, MOST_GROUPS_NAMED).join(", ")}`;
}
