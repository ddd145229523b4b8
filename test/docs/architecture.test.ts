/** The imports follow the table in docs/ARCHITECTURE.md, and the table allows no import that does not exist. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { circlesIn, type Import, importsBelow, importsIn, ROOT } from "../support/imports.ts";

const WATCHED = ["lib", "localnet", "canister", "packaging"];

/** A line of the table. */
interface Rule {
  /** The path, from the repository's root, of a file, or of a directory with everything below it that has no line of its own. */
  readonly module: string;
  /** Modules, with true where only their types may be imported. */
  readonly allowed: ReadonlyMap<string, boolean>;
}

/** `cache` is lib/cache/, and `units` is lib/units.ts. Directories outside lib are written with a slash. */
const inLib = (name: string) => (name.endsWith("/") ? name.slice(0, -1) : `lib/${name}`);
const withoutEnding = (path: string) => path.replace(/\/$|\.ts$/, "");

function rulesIn(document: string): Rule[] {
  return Array.from(document.matchAll(/^\| (`[^|]+) \| [^|]+ \| ([^|]*) \|$/gm), ([, modules, allowed]) => {
    const targets = Array.from(
      allowed!.matchAll(/`([^`]+)`( \(types\))?/g),
      ([, name, types]) => [inLib(name!), types !== undefined] as const,
    );
    return Array.from(modules!.matchAll(/`([^`]+)`/g), ([, module]) => ({
      module: withoutEnding(module!),
      allowed: new Map(targets),
    }));
  }).flat();
}

/** The small modules that all of lib may import. */
function commonIn(document: string): string[] {
  const [, list] = document.match(/^Every module of lib may import these as well: ([^.]+)\./m) ?? [];
  return Array.from((list ?? "").matchAll(/`([^`]+)`/g), ([, name]) => inLib(name!));
}

/** Messages about imports that break the rules, and about rules without imports. */
function faults(imports: readonly Import[], rules: readonly Rule[], common: readonly string[]): string[] {
  const modules = [...rules.map(({ module }) => module), ...common];
  const moduleOf = (path: string) =>
    modules
      .filter((module) => withoutEnding(path) === module || path.startsWith(`${module}/`))
      .sort((a, b) => b.length - a.length)[0];
  const found: string[] = [];
  const used = new Set<string>();
  for (const { from, to, isType } of imports) {
    const [a, b] = [moduleOf(from), moduleOf(to)];
    if (a === undefined || b === undefined)
      found.push(`${a === undefined ? from : to} is in no module of the table`);
    else if (a !== b && !(common.includes(b) && a.startsWith("lib/"))) {
      const rule = rules.find(({ module }) => module === a);
      const typesOnly = rule?.allowed.get(b);
      if (typesOnly === undefined) found.push(`${from} may not import ${to}`);
      else if (typesOnly && !isType) found.push(`${from} may import types only of ${to}`);
      used.add(`${a} ${b}${isType ? "" : " loaded"}`);
    }
  }
  for (const { module, allowed } of rules) {
    for (const [target, typesOnly] of allowed) {
      if (typesOnly ? used.has(`${module} ${target}`) : used.has(`${module} ${target} loaded`)) continue;
      found.push(
        `${module} imports nothing ${typesOnly || !used.has(`${module} ${target}`) ? "" : "but types "}of ${target}`,
      );
    }
  }
  return found;
}

const document = await readFile(join(ROOT, "docs/ARCHITECTURE.md"), "utf8");
const rules = rulesIn(document);
const common = commonIn(document);
const imports = await importsBelow(WATCHED);

t.test("the imports follow the table, and the table allows no unused ones", async (t) => {
  t.ok(rules.length > 15 && common.length > 3 && imports.length > 500, "there is something to compare");
  t.same(faults(imports, rules, common), []);
  t.same(
    common.flatMap((file) =>
      imports.filter(({ from, to }) => from === `${file}.ts` && !common.includes(withoutEnding(to))),
    ),
    [],
    "common files import only common files",
  );
});

t.test("there are no circular imports, types included", async (t) => {
  t.same(circlesIn(imports), []);
});

t.test("the check finds forbidden, unlisted, unused and circular imports", async (t) => {
  const table = [
    "| `lib/a/` | one | `b`, `c` (types), `d`, `e` (types), `localnet/` |",
    "| `lib/a/deep/` | two | – |",
    "| `lib/b/`, `lib/c/`, `lib/d.ts`, `lib/e/` | three | – |",
    "| `localnet/` | four | – |",
  ].join("\n");
  const source = (path: string, ...lines: string[]) => importsIn(path, lines.join("\n"));
  const example = [
    ...source(
      "lib/a/x.ts",
      'import { b } from "../b/b.ts";',
      'import {\n  c,\n} from "../c/c.ts";',
      'import "../errors.ts";',
    ),
    ...source(
      "lib/a/y.ts",
      'const { d } = await import("../d.ts");',
      'export type { Z } from "./deep/z.ts";',
    ),
    ...source("lib/a/deep/z.ts", 'import type { Y } from "../y.ts";', 'import { s } from "../../stray.ts";'),
    ...source("localnet/index.ts", 'import { e } from "../lib/errors.ts";'),
  ];
  t.same(faults(example, rulesIn(table), ["lib/errors"]), [
    "lib/a/x.ts may import types only of lib/c/c.ts",
    "lib/a/y.ts may not import lib/a/deep/z.ts",
    "lib/a/deep/z.ts may not import lib/a/y.ts",
    "lib/stray.ts is in no module of the table",
    "localnet/index.ts may not import lib/errors.ts",
    "lib/a imports nothing of lib/c",
    "lib/a imports nothing of lib/e",
    "lib/a imports nothing of localnet",
  ]);
  t.same(circlesIn(example), [["lib/a/y.ts", "lib/a/deep/z.ts", "lib/a/y.ts"]]);
});
