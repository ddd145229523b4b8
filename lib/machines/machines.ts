/** Implements `--machines`: adds a few files per machine to a directory, generated from templates. */
import { isUtf8 } from "node:buffer";
import { readFile, stat } from "node:fs/promises";
import { extname } from "node:path";
import { messageOf, UserError } from "../errors.ts";
import { isGrubConfig } from "../lint/grub.ts";
import type { Making } from "../publish/made-files.ts";
import { MAX_ENTRIES } from "../tree/limits.ts";
import { baseName, parentPath } from "../tree/rules.ts";
import { limitText } from "../units.ts";
import { BUILT_IN } from "./built-in.ts";
import { csvHosts } from "./csv-hosts.ts";
import { FileProblems } from "./file-problems.ts";
import { type Hosts, machinesIn } from "./hosts.ts";
import { renderAll } from "./render.ts";
import { secretIn } from "./secrets.ts";
import { placeOf, readTemplates } from "./templates.ts";
import type { Variables } from "./values.ts";
import { yamlHosts } from "./yaml-hosts.ts";

export interface MachinesOptions {
  /** YAML, JSON or CSV, by its name. */
  readonly file: string;
  /** A directory; undefined: the built-in templates. */
  readonly templates: string | undefined;
  /** Whether to accept values that look like secrets. */
  readonly allowSecrets: boolean;
}

/** The limit of the file. 100,000 machines take about 10 MB. */
const MOST_BYTES = 64 * 1024 * 1024;

/** @throws UserError that names every problem of the file or the templates */
export async function readMachines({ file, templates, allowSecrets }: MachinesOptions): Promise<Making> {
  const problems = new FileProblems(file);
  const hosts = parsed(file, await textOf(file), problems);
  const machines = machinesIn(hosts, problems);
  if (!allowSecrets) addSecrets(hosts, problems);
  problems.throwIfAny();
  const sources = [await placeOf(file), ...(templates === undefined ? [] : [await placeOf(templates)])];
  const rendering = {
    templates: templates === undefined ? BUILT_IN : await readTemplates(templates),
    called: templates === undefined ? "the built-in template " : `${templates.replace(/\/+$/, "")}/`,
    allowSecrets,
  };
  const count = rendering.templates.length * machines.length;
  if (count > MAX_ENTRIES) {
    const many = `${machines.length} machines with ${rendering.templates.length} templates`;
    throw new UserError(`${file}: ${many} come to more than ${MAX_ENTRIES} files, the limit of a release`);
  }
  return { sources, files: (paths) => renderAll(machines, rendering, grubDirectories(paths)) };
}

function parsed(file: string, text: string, problems: FileProblems): Hosts {
  switch (extname(file).toLowerCase()) {
    case ".yaml":
    case ".yml":
    case ".json":
      return yamlHosts(text, problems);
    case ".csv":
      return csvHosts(text, problems);
    default:
      throw new UserError(`${file}: unknown format: the name must end in .yaml, .yml, .json or .csv`);
  }
}

async function textOf(file: string): Promise<string> {
  try {
    const stats = await stat(file);
    if (!stats.isFile()) throw new Error("it is not a file");
    if (stats.size > MOST_BYTES) throw new Error(`it has more than ${limitText(MOST_BYTES)}`);
    const bytes = await readFile(file);
    if (!isUtf8(bytes)) throw new Error("it is not text in UTF-8: save it as such");
    return bytes.toString("utf8");
  } catch (error) {
    throw new UserError(`cannot read ${file}: ${messageOf(error)}`);
  }
}

const NO_SECRETS =
  "A release is no place for secrets: whoever may read the canister reads them, and so does each machine on the network. Have machines fetch them elsewhere, or say --allow-secrets";

function addSecrets({ defaults, groups, machines }: Hosts, problems: FileProblems): void {
  const look = (variables: Variables, whose: string) => {
    for (const [name, { value, line }] of variables) {
      const what = secretIn(name, value);
      if (what !== undefined) problems.add(line, `${whose}: ${name} has what looks like ${what}`, NO_SECRETS);
    }
  };
  look(defaults, "defaults");
  for (const [name, variables] of groups ?? []) look(variables, `the group ${name}`);
  for (const { name, variables } of machines) look(variables, `the machine ${name}`);
}

/** The directories of the tree that contain a grub.cfg for all machines. */
function grubDirectories(paths: readonly string[]): string[] {
  return paths.filter((path) => baseName(path) === "grub.cfg" && isGrubConfig(path)).map(parentPath);
}
