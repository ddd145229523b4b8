/** Checks the files that GRUB's configurations name. Whatever depends on unknown variables or conditions is skipped. */
import { baseName, parentPath } from "../tree/rules.ts";
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import { type Finding, MAX_FINDINGS, quoted } from "./finding.ts";
import { type Command, commandsOf } from "./grub-script.ts";
import { syntaxProblemIn } from "./grub-syntax.ts";
import { type Token, tokensOf } from "./grub-tokens.ts";
import { ancestorsOf, type Configured, missingFile, REPLACED, resolve } from "./references.ts";

const LOADERS = /^(linux|linux16|linuxefi|multiboot|multiboot2|xen_hypervisor|chainloader)$/;
const INITRDS = /^(initrd|initrd16|initrdefi)$/;
const CONFIGS = /^(source|\.|configfile|normal)$/;
const OTHERS = /^(devicetree|module|module2|xen_module|k(free|open|net)bsd(_\w+)?)$/;
/** The directories of GRUB's modules. A configuration there is for GRUB's own use. */
const PLATFORM =
  /(^|\/)(x86_64|i386|arm64|arm|ia64|riscv64|loongarch64)-(efi|pc|coreboot|emu|qemu|xen|ieee1275)\//;

/** The most directories of GRUB's own from which a configuration may have been read. */
const MAX_PREFIXES = 16;
/** Nothing longer is a name. */
const MAX_NAME = 4096;
const NOT_FOUND = 'GRUB says "file not found", and waits at its menu';
/** Devices that mean the server that GRUB came from. */
const HERE = /^\(?((tftp|pxe|net)|http\)?$)/;
/** Variables that name that server; a configuration may change them. */
const SERVER = /^(net|pxe)_default_server$/;
/** Names with such a device are on the server that GRUB came from, as long as its root is. */
const FROM_ROOT =
  /^\((\$root|\$\{root\}|tftp,\$(net|pxe)_default_server|tftp,\$\{(net|pxe)_default_server\})\)/;
/** A name without a device or a slash: over TFTP it counts from the server's directory. */
const RELATIVE = /^[\w.][\w./~@=,-]*$/;
const VARIABLE = /\$(?:\{(\w+)\}|(\w+))/g;
const CONFIG_NAME = /^grub\.cfg(?:-(.*))?$/;

/** @param configured receives what they boot */
export async function lintGrub(tree: BootTree, configured: Configured): Promise<Finding[]> {
  const findings: Finding[] = [];
  const seen = new Set<string>();
  const pending = [...tree.files()].filter(({ path }) => isGrubConfig(path));
  for (const { path } of pending) findings.push(...nameProblems(path));
  const prefixes = [...new Set(pending.map(({ path }) => `/${parentPath(path)}`))].slice(0, MAX_PREFIXES);
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (seen.has(file.path) || findings.length > MAX_FINDINGS) continue;
    seen.add(file.path);
    const config = new GrubConfig(tree, file, { prefixes, findings, configured });
    pending.push(...(await config.read()));
  }
  return findings;
}

/** Whether GRUB starts with this configuration, for all machines or for some. */
export function isGrubConfig(path: string): boolean {
  const [name, machine = ""] = CONFIG_NAME.exec(baseName(path)) ?? [];
  return name !== undefined && !REPLACED.test(machine) && !PLATFORM.test(path);
}

/** GRUB asks for 01-MAC in lower case, and for an address and its prefixes in upper case (GRUB's manual, "Network"). */
function nameProblems(path: string): Finding[] {
  const [, machine = ""] = CONFIG_NAME.exec(baseName(path)) ?? [];
  const mac = /^(?:01-)?([0-9a-f]{2}(?:[-:][0-9a-f]{2}){5})$/i.exec(machine)?.[1];
  const isAddress = /^[0-9a-f]{8}$/i.test(machine);
  const lower = mac?.toLowerCase().replaceAll(":", "-");
  const right = mac === undefined ? machine.toUpperCase() : `01-${lower}`;
  const isRight = mac === undefined ? !isAddress || machine === right : mac === mac.toLowerCase();
  if (isRight) return [];
  return [
    {
      kind: "config-name",
      file: path,
      line: undefined,
      problem: "no machine asks for this name",
      outcome: "The machine that it is meant for reads another configuration, or none",
      advice: `GRUB asks for grub.cfg-${right}`,
    },
  ];
}

interface Context {
  /** Directories that may be GRUB's own. */
  readonly prefixes: readonly string[];
  readonly findings: Finding[];
  readonly configured: Configured;
}

/** The state to restore after a block. */
interface Block {
  readonly isFunction: boolean;
  readonly wasElsewhere: boolean;
}

class GrubConfig {
  readonly #tree: BootTree;
  readonly #file: TreeFile;
  readonly #bases: readonly string[];
  readonly #prefixes: readonly string[];
  readonly #findings: Finding[];
  readonly #configured: Configured;
  /** Undefined: the variable has an unknown value. */
  readonly #variables = new Map<string, string | undefined>();
  readonly #more: TreeFile[] = [];
  readonly #blocks: Block[] = [];
  /** How many blocks are open whose commands may not run: conditions, loops and functions. */
  #conditions = 0;
  /** Whether GRUB's root is, or may be, another device than the server that GRUB came from. */
  #isElsewhere = false;
  #kernel: { readonly file: TreeFile; readonly line: number } | undefined;

  constructor(tree: BootTree, file: TreeFile, { prefixes, findings, configured }: Context) {
    this.#tree = tree;
    this.#file = file;
    this.#bases = ancestorsOf(parentPath(file.path));
    this.#prefixes = [`/${parentPath(file.path)}`, ...prefixes];
    this.#findings = findings;
    this.#configured = configured;
  }

  /** Returns the configurations that this one includes. */
  async read(): Promise<TreeFile[]> {
    const tokens = [...tokensOf(await this.#tree.lines(this.#file))];
    const commands = [...commandsOf(tokens)];
    // Nothing is right in a text in UTF-16, which is reported as such.
    if (!this.#tree.encodings.has(this.#file.path)) this.#syntax(tokens, commands);
    const assignments = commands
      .map(({ words }) => assignmentIn(words))
      .filter((found) => found !== undefined);
    const counts = Map.groupBy(assignments, ({ name }) => name);
    // A menu entry runs after everything has been read, so a variable that is assigned more than once has an unknown value.
    for (const [name, all] of counts) if (all.length > 1) this.#variables.set(name, undefined);
    for (const { words } of commands) for (const name of foundBy(words)) this.#variables.set(name, undefined);
    for (const { line, words, opens } of commands) {
      if (this.#findings.length > MAX_FINDINGS) break;
      await this.#command(line, words);
      if (opens) this.#open(words[0]!);
    }
    return this.#more;
  }

  #syntax(tokens: readonly Token[], commands: readonly Command[]): void {
    const file = this.#file.path;
    const wrong = syntaxProblemIn(tokens);
    if (wrong !== undefined) {
      const outcome = 'GRUB says "syntax error", and its menu lacks this entry or command';
      this.#findings.push({ kind: "syntax", file, ...wrong, outcome });
    }
    for (const [index, { words, line, isJoined }] of commands.entries()) {
      if (this.#findings.length > MAX_FINDINGS) return;
      const cut = commands[index - 1]?.words[0] ?? "";
      const [rest = ""] = words;
      if (!isJoined || !(LOADERS.test(cut) || INITRDS.test(cut)) || !/^[\w.-]+=/.test(rest)) continue;
      this.#findings.push({
        kind: "syntax",
        file,
        line,
        problem: `has a semicolon before ${quoted(rest)}, outside quotes`,
        outcome:
          "The semicolon ends the command, so the kernel is started without the rest of its command line",
        advice: "Put the word with the semicolon in single quotes",
      });
    }
  }

  async #command(line: number, words: readonly string[]): Promise<void> {
    const [command = "", ...rest] = words;
    const names = rest.filter((word) => !word.startsWith("-"));
    const [name] = names;
    const assignment = assignmentIn(words);
    if (assignment !== undefined) this.#assign(assignment);
    else if (command === "}") this.#close();
    else if (/^search\b/.test(command) || foundBy(words).some((one) => one === "root" || SERVER.test(one)))
      this.#isElsewhere = true;
    else if (/^(if|while|until|for)$/.test(command)) this.#conditions += 1;
    else if (/^(elif|else)$/.test(command)) this.#kernel = undefined;
    else if (/^(fi|done)$/.test(command)) {
      this.#conditions = Math.max(0, this.#conditions - 1);
      this.#kernel = undefined;
    } else if (INITRDS.test(command)) this.#initrds(names, line);
    else if (name === undefined) return;
    else if (LOADERS.test(command)) {
      const file = this.#find(name, line, NOT_FOUND);
      this.#kernel = file && { file, line };
      if (file !== undefined) this.#configured.kernels.set(file.path, file);
    } else if (CONFIGS.test(command)) await this.#include(name, line);
    else if (OTHERS.test(command)) this.#find(name, line, NOT_FOUND);
  }

  #assign({ name, value }: Assignment): void {
    const isKnown = this.#conditions === 0 && !this.#variables.has(name);
    this.#variables.set(name, isKnown ? this.#expanded(value) : undefined);
    if (SERVER.test(name)) this.#isElsewhere = true;
    if (name !== "root") return;
    // Another branch of a condition may have set it elsewhere.
    this.#isElsewhere = !HERE.test(value) || (this.#conditions > 0 && this.#isElsewhere);
  }

  #open(command: string): void {
    const isFunction = command === "function";
    this.#blocks.push({ isFunction, wasElsewhere: this.#isElsewhere });
    this.#kernel = undefined;
    // A function may be called at any time, or never.
    if (isFunction) this.#conditions += 1;
  }

  #close(): void {
    const block = this.#blocks.pop();
    if (block === undefined) return;
    // A function may be called anywhere below.
    this.#isElsewhere = block.wasElsewhere || (block.isFunction && this.#isElsewhere);
    this.#kernel = undefined;
    if (block.isFunction) this.#conditions = Math.max(0, this.#conditions - 1);
  }

  #initrds(names: readonly string[], line: number): void {
    const found = names.map((name) => this.#find(name, line, NOT_FOUND));
    const initrds = found.filter((file) => file !== undefined);
    for (const initrd of initrds) this.#configured.initrds.set(initrd.path, initrd);
    const kernel = this.#kernel;
    if (kernel === undefined || initrds.length < found.length || initrds.length === 0) return;
    this.#configured.pairs.push({ config: this.#file.path, line: kernel.line, kernel: kernel.file, initrds });
  }

  async #include(name: string, line: number): Promise<void> {
    const outcome = 'GRUB says "file not found", and what the file adds is missing from the menu';
    const file = this.#find(name, line, outcome);
    // The included file may change any variable from here on.
    for (const known of this.#variables.keys()) this.#variables.set(known, undefined);
    if (file === undefined) return;
    this.#more.push(file);
    const lines = await this.#tree.lines(file);
    if (lines.some((text) => /\b(search|root=)/.test(text))) this.#isElsewhere = true;
  }

  #find(word: string, line: number, outcome: string): TreeFile | undefined {
    if (this.#isElsewhere) return undefined;
    const names = this.#prefixes.map((prefix) => this.#pathOf(word, prefix));
    const [name] = names;
    if (name === undefined) return undefined;
    for (const one of new Set(names)) {
      const file = one === undefined ? undefined : resolve(this.#tree, one, this.#bases);
      if (file !== undefined) return file;
    }
    if (this.#conditions === 0) {
      const place = { file: this.#file.path, line };
      this.#findings.push(missingFile(this.#tree, place, { name, bases: this.#bases, outcome }));
    }
    return undefined;
  }

  /** A path in the tree; undefined where it is on another device, or depends on unknown values. */
  #pathOf(word: string, prefix: string): string | undefined {
    const known = this.#expanded(word, prefix)?.replace(FROM_ROOT, "");
    // A pattern would match names at run time.
    if (known === undefined || /[$*?]/.test(known)) return undefined;
    const device = /^\(([^)]*)\)/.exec(known);
    if (device === null) return known.startsWith("/") || RELATIVE.test(known) ? known : undefined;
    return /^(tftp|pxe)(,|$)/.test(device[1]!) ? known.slice(device[0].length) : undefined;
  }

  /** With the values of variables, where they are known; undefined if it is longer than any name. */
  #expanded(word: string, prefix?: string): string | undefined {
    let length = word.length;
    const known = word.replaceAll(VARIABLE, (all, a, b) => {
      const name: string = a ?? b;
      // Its value would be a device in parentheses or not.
      if (name === "root" || length > MAX_NAME) return all;
      const found = this.#variables.get(name) ?? all;
      length += found.length;
      return found;
    });
    if (length > MAX_NAME) return undefined;
    return prefix === undefined || this.#variables.has("prefix")
      ? known
      : known.replaceAll(/\$(?:\{prefix\}|prefix\b)/g, () => prefix);
  }
}

interface Assignment {
  readonly name: string;
  readonly value: string;
}

/** The variables in which a command puts what it finds: search, regexp, probe and the like, read, and for. */
function foundBy(words: readonly string[]): string[] {
  const [command, first = ""] = words;
  if (command === "read" || command === "for") return [first];
  return words.flatMap((word, index) => {
    const value = /^(-s|--set)$/.test(word) ? words[index + 1] : /^--set=(.*)$/.exec(word)?.[1];
    return value === undefined ? [] : [value.replace(/^\d+:/, "")];
  });
}

function assignmentIn(words: readonly string[]): Assignment | undefined {
  const [command = "", first = ""] = words;
  const [, name, value = ""] = /^([A-Za-z_]\w*)=(.*)$/s.exec(command === "set" ? first : command) ?? [];
  return name === undefined ? undefined : { name, value };
}
