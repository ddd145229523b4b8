/**
 * Reads machines from YAML 1.2, which includes JSON, with `defaults`, `groups` and `machines` (docs/PUBLISH.md, "Machines from a
 * file").
 */
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
  visit,
} from "yaml";
import { messageOf } from "../errors.ts";
import type { FileProblems } from "./file-problems.ts";
import type { Hosts, Listed } from "./hosts.ts";
import { type Given, nameProblem, plainValue, type Value, type Variables } from "./values.ts";

/** The limit for nested values. */
const MOST_DEPTH = 16;
/** Each use of an alias counts: a few lines could expand to 10^9 values (billion laughs). */
const MOST_VALUES = 3_000_000;

const NONE: Variables = new Map();

/** @param problems receives errors; if there are any, do not use the result */
export function yamlHosts(text: string, problems: FileProblems): Hosts {
  try {
    return new Reader(text, problems).read();
  } catch (error) {
    // Brackets nested by the thousand.
    problems.add(undefined, `cannot be read as YAML: ${messageOf(error)}`);
    return { defaults: NONE, groups: undefined, machines: [] };
  }
}

interface Pair {
  readonly key: string;
  readonly line: number;
  readonly value: Node | null;
}

class Reader {
  readonly #problems: FileProblems;
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed;
  readonly #aliases: ReadonlyMap<Alias, Node>;
  #values = 0;

  constructor(text: string, problems: FileProblems) {
    this.#problems = problems;
    // Pretty errors quote the line, which could show a password. Unique keys are checked here, because the parser compares each
    // key with every other.
    const options = {
      lineCounter: this.#lines,
      prettyErrors: false,
      uniqueKeys: false,
    } as const;
    this.#document = parseDocument(text, options);
    this.#aliases = aliasesIn(this.#document);
  }

  read(): Hosts {
    const { errors, warnings, contents } = this.#document;
    for (const { code, message, pos } of [...errors, ...warnings]) {
      const what = code === "MULTIPLE_DOCS" ? "there is a second document: have one, without ---" : message;
      this.#problems.add(this.#lines.linePos(pos[0]).line, what);
    }
    let defaults = NONE;
    let groups: Map<string, Variables> | undefined = new Map();
    let machines: Listed[] | undefined;
    if (errors.length > 0) return { defaults, groups, machines: [] };
    for (const { key, line, value } of this.#pairs(contents, "the file")) {
      if (key === "defaults") defaults = this.#variables(value, "defaults");
      else if (key === "groups") groups = this.#groups(value);
      else if (key === "machines") machines = this.#machines(value, line);
      else
        this.#problems.add(line, `there is nothing called ${key}: there are defaults, groups and machines`);
    }
    if (machines === undefined) {
      this.#problems.add(
        undefined,
        'there is no "machines": list the machines there, or write "machines: []" if there are none',
      );
    }
    return { defaults, groups, machines: machines ?? [] };
  }

  #groups(node: Node | null): Map<string, Variables> {
    const groups = new Map<string, Variables>();
    for (const { key, value } of this.#pairs(node, "groups")) {
      groups.set(key, this.#variables(value, `the group ${key}`));
    }
    return groups;
  }

  #machines(node: Node | null, line: number): Listed[] {
    const list = this.#followed(node);
    if (!isSeq(list)) {
      this.#problems.add(
        line,
        "machines is not a list: begin each machine with -, as in - mac: 52:54:00:69:63:66",
      );
      return [];
    }
    return list.items.map((item) => {
      const own: { mac?: string; name?: string; group?: string } = {};
      const variables = new Map<string, Given>();
      for (const pair of this.#pairs(item as Node, "a machine")) {
        const { key } = pair;
        if (key === "mac" || key === "name" || key === "group") own[key] = this.#text(pair);
        else this.#variable(pair, variables);
      }
      return { line: this.#lineOf(item as Node), mac: own.mac, name: own.name, group: own.group, variables };
    });
  }

  #variables(node: Node | null, what: string): Variables {
    const variables = new Map<string, Given>();
    for (const pair of this.#pairs(node, what)) this.#variable(pair, variables);
    return variables;
  }

  #variable({ key, line, value }: Pair, variables: Map<string, Given>): void {
    const problem = nameProblem(key);
    if (problem !== undefined) this.#problems.add(line, problem);
    variables.set(key, { value: this.#value(value, 0), line });
  }

  /** The pairs of a map; a repeated key is a problem. A missing map counts as empty. @param what the map's name in messages */
  #pairs(node: Node | null, what: string): Pair[] {
    const map = this.#followed(node);
    if (map === null || (isScalar(map) && map.value === null)) return [];
    if (!isMap(map)) {
      this.#problems.add(
        this.#lineOf(map),
        `${what} has no names with values: write name: value, a line each`,
      );
      return [];
    }
    const lines = new Map<string, number>();
    return map.items.map(({ key: name, value }) => {
      const key = isScalar(name) ? sourceOf(name) : "";
      const line = this.#lineOf(name as Node);
      const before = lines.get(key);
      if (!isScalar(name)) this.#problems.add(line, "this is not a name: write name: value");
      else if (before !== undefined)
        this.#problems.add(line, `${key} is in line ${before} already: leave out one`);
      lines.set(key, line);
      return { key, line, value: value as Node | null };
    });
  }

  /** The value as it was written: to YAML, a MAC of digits is a number. */
  #text({ key, line, value }: Pair): string | undefined {
    const scalar = this.#followed(value);
    if (scalar === null || (isScalar(scalar) && scalar.value === null)) return undefined;
    if (isScalar(scalar)) return sourceOf(scalar);
    this.#problems.add(line, `${key} is a list or a map: write one value`);
    return undefined;
  }

  #value(node: Node | null, depth: number): Value {
    this.#values += 1;
    if (this.#values > MOST_VALUES)
      throw new Error(`it has more than ${MOST_VALUES} values, aliases followed`);
    if (depth > MOST_DEPTH) throw new Error(`a value is in more than ${MOST_DEPTH} others`);
    const found = this.#followed(node);
    if (isSeq(found)) return found.items.map((item) => this.#value(item as Node, depth + 1));
    if (isMap(found)) {
      const pairs = this.#pairs(found, "a map");
      return Object.fromEntries(pairs.map(({ key, value }) => [key, this.#value(value, depth + 1)]));
    }
    if (!isScalar(found)) return null;
    if (found.type !== "PLAIN") return String(found.value ?? "");
    return found.value === null ? null : plainValue(sourceOf(found));
  }

  #followed(node: Node | null): Node | null {
    if (!isAlias(node)) return node ?? null;
    const found = this.#aliases.get(node);
    if (found === undefined) {
      this.#problems.add(
        this.#lineOf(node),
        `*${node.source} stands for nothing: mark a value above it with &${node.source}`,
      );
    }
    return found ?? null;
  }

  #lineOf(node: Node | null): number {
    return this.#lines.linePos(node?.range?.[0] ?? 0).line;
  }
}

/** The targets of all aliases, found in one walk: the library's own lookup walks once for each alias. */
function aliasesIn(document: Document.Parsed): Map<Alias, Node> {
  const anchors = new Map<string, Node>();
  const aliases = new Map<Alias, Node>();
  visit(document, (_, node) => {
    if (isAlias(node)) {
      const meant = anchors.get(node.source);
      if (meant !== undefined) aliases.set(node, meant);
    } else if (isNode(node) && "anchor" in node && typeof node.anchor === "string")
      anchors.set(node.anchor, node);
  });
  return aliases;
}

function sourceOf(scalar: Scalar): string {
  return scalar.type === "PLAIN" ? (scalar.source ?? "") : String(scalar.value ?? "");
}
