/**
 * Renders templates in Liquid. A template can only produce text: it reads no files, and its result depends on the machine's
 * variables alone, so that the same machines always yield the same release.
 */
import { Liquid, LiquidError, type Template as Parsed } from "liquidjs";
import { messageOf, UserError } from "../errors.ts";
import { oneLine } from "../log.ts";
import { pathProblem } from "../tree/rules.ts";
import { limitText } from "../units.ts";
import type { Machine } from "./hosts.ts";
import { secretInText } from "./secrets.ts";
import type { Template } from "./templates.ts";

/** A file for a machine. */
export interface Rendered {
  readonly path: string;
  readonly bytes: Buffer;
  /** The machine's name. */
  readonly machine: string;
  /** The template's name. */
  readonly template: string;
}

/** Tags that read other files, or whose results vary. */
const NO_TAGS = ["include", "render", "layout", "block"];
const NO_FILTERS = [
  "date",
  "date_to_xmlschema",
  "date_to_rfc822",
  "date_to_string",
  "date_to_long_string",
  "sample",
];

/** The limit of one file. Nothing longer is a configuration. */
const MOST_FILE_BYTES = 1024 * 1024;
/** The limit of all files together: they are in memory. */
const MOST_BYTES = 512 * 1024 * 1024;
/** Limits for one file, in milliseconds and in liquidjs's units of memory. */
const RENDER_MS = 10_000;
const MEMORY = 10_000_000;
/** More problems than this are one mistake, made many times. */
const MOST_SHOWN = 20;

export interface Rendering {
  readonly templates: readonly Template[];
  /** What messages put before a template's name. */
  readonly called: string;
  readonly allowSecrets: boolean;
}

/**
 * Renders each template for each machine, machine by machine. A template whose name renders to nothing makes no file for that
 * machine.
 *
 * @param grubDirectories where GRUB may look; they become the variable grub_directory, which is grub if there are none
 * @throws UserError that names every problem
 */
export function renderAll(
  machines: readonly Machine[],
  { templates, called, allowSecrets }: Rendering,
  grubDirectories: readonly string[],
): Rendered[] {
  const engine = newEngine();
  const [grub_directory = "grub", ...others] = grubDirectories;
  const given = others.length === 0 ? { grub_directory } : {};
  const problems = new Set<string>();
  const report = (template: Template, line: number | undefined, problem: string) =>
    problems.add(oneLine(`${called}${template.name}${line === undefined ? "" : `:${line}`}: ${problem}`));
  const parsed = templates.map((template) => parsedTemplate(engine, template, report));
  const rendered: Rendered[] = [];
  let bytes = 0;
  for (const machine of machines) {
    if (problems.size > MOST_SHOWN) break;
    const { mac, name, group = null, variables } = machine;
    const own = { mac, mac_dashes: mac.replaceAll(":", "-"), mac_bare: mac.replaceAll(":", ""), name, group };
    const scope = { ...given, ...withoutNull(variables), ...own };
    for (const one of parsed) {
      if (one === undefined) continue;
      const { template } = one;
      const say = (line: number | undefined, problem: string) =>
        report(template, line, `${problem} (for ${name})`);
      let isName = true;
      try {
        const path = engine.renderSync(one.path, scope) as string;
        isName = false;
        if (path === "" || path.endsWith("/")) continue;
        const problem = pathProblem(path);
        if (problem !== undefined) say(undefined, `makes a file ${JSON.stringify(path)}: ${problem}`);
        const text = engine.renderSync(one.text, scope) as string;
        const secret = allowSecrets ? undefined : secretInText(text);
        if (secret !== undefined) {
          const found = `${path}:${secret.line} would have what looks like ${secret.what}`;
          say(
            undefined,
            `${found}: a release is no place for secrets, so take it out, or say --allow-secrets`,
          );
        }
        const file = { path, bytes: Buffer.from(text), machine: name, template: template.name };
        if (file.bytes.length > MOST_FILE_BYTES)
          say(undefined, `makes more than ${limitText(MOST_FILE_BYTES)}`);
        bytes += file.bytes.length;
        rendered.push(file);
      } catch (error) {
        const { line, problem } = failureOf(error, grubDirectories);
        if (isName) say(undefined, `its name: ${problem}`);
        else say(line, problem);
      }
      if (bytes > MOST_BYTES)
        throw new UserError(`all machines' files have more than ${limitText(MOST_BYTES)}`);
    }
  }
  throwIfAny([...problems]);
  return rendered;
}

/** YAML's ~ takes away a variable that defaults or a group gives. To Liquid, null would be a variable that exists and is empty. */
function withoutNull(variables: Machine["variables"]): Machine["variables"] {
  return Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== null));
}

function newEngine(): Liquid {
  const engine = new Liquid({
    strictVariables: true,
    strictFilters: true,
    // Lets {% if initrd %} and | default: test whether a variable exists.
    lenientIf: true,
    ownPropertyOnly: true,
    parseLimit: 2 * MOST_FILE_BYTES,
    renderLimit: RENDER_MS,
    memoryLimit: MEMORY,
    outputEscape: textOf,
  });
  for (const name of NO_TAGS) delete engine.tags[name];
  for (const name of NO_FILTERS) delete engine.filters[name];
  // Escapes the characters that GRUB's shell interprets (GRUB's manual, "Quoting").
  engine.registerFilter("grub", (value: unknown) => textOf(value).replaceAll(/[\\$;&|<>{}"'#]/g, "\\$&"));
  // YAML's | keeps line ends, at which a boot loader's command ends.
  engine.registerFilter("one_line", (value: unknown) =>
    textOf(value)
      .trim()
      .replaceAll(/[ \t]*[\r\n]\s*/g, " "),
  );
  return engine;
}

/** The output of {{ }}. */
function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "object") throw new Error('this is a list or a map: use | join: " " or {% for %}');
  return String(value);
}

interface ParsedTemplate {
  readonly template: Template;
  readonly path: Parsed[];
  readonly text: Parsed[];
}

function parsedTemplate(
  engine: Liquid,
  template: Template,
  report: (template: Template, line: number | undefined, problem: string) => void,
): ParsedTemplate | undefined {
  try {
    return { template, path: engine.parse(template.path), text: engine.parse(template.text) };
  } catch (error) {
    const { line, problem } = failureOf(error, []);
    report(template, line, problem);
    return undefined;
  }
}

/** The message of liquidjs, without the template's lines that it appends. */
function failureOf(
  error: unknown,
  grubDirectories: readonly string[],
): { readonly line: number | undefined; readonly problem: string } {
  const [line] = LiquidError.is(error) ? (error.token?.getPosition() ?? []) : [];
  const said = messageOf(error).replace(/, (?:file:.*, )?line:\d+, col:\d+$/, "");
  const [, variable] = /^undefined variable: (.*)$/.exec(said) ?? [];
  if (variable === undefined) return { line, problem: said };
  const why =
    variable === "grub_directory" ? `, since the tree has a grub.cfg in ${grubDirectories.join(", ")}` : "";
  const problem = `there is no variable ${variable}${why}: give it to the machine, to its group or in defaults`;
  return { line, problem };
}

/** @throws UserError */
function throwIfAny(problems: readonly string[]): void {
  if (problems.length === 0) return;
  const more = problems.length > MOST_SHOWN ? ["and more"] : [];
  throw new UserError(
    ["machines' files cannot be made:", ...problems.slice(0, MOST_SHOWN), ...more].join("\n  "),
  );
}
