/**
 * Checks configurations of PXELINUX, EXTLINUX and SYSLINUX by the rules of their documentation (doc/syslinux.txt,
 * doc/pxelinux.txt): which files they name, and whether a machine finds them.
 */
import { baseName } from "../tree/rules.ts";
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import { type Finding, MAX_FINDINGS, quoted } from "./finding.ts";
import { type Configured, missingFile, type Place, resolve } from "./references.ts";
import { lintModules } from "./syslinux-modules.ts";
import { isAsked, type Start, startsOf } from "./syslinux-starts.ts";

/** The depth of includes at which SYSLINUX itself stops. */
const MAX_DEPTH = 16;
/** The most directories in PATH. */
const MAX_MODULE_PATHS = 16;
/** No directory has a longer path. */
const MAX_DIRECTORY = 4096;
/** The extensions that SYSLINUX tries for a name without one (doc/syslinux.txt, KERNEL). */
const EXTENSIONS = ["", ".cbt", ".bss", ".com", ".bs", ".c32", ".0", ".bin"];
/** Names that begin like this are on another server, or not files; those with a backslash are on a disk. */
const ELSEWHERE = /^([a-z][a-z0-9+.-]*:\/\/|[^/:]+::)|\\/i;
/** A name from the root of the server that the loader came from. */
const FROM_ROOT = /^::/;
/** Modules that read the configurations named by their arguments; ~ stands for the present one. */
const MENU = /(^|\/)(vesa)?menu(\.c32)?$/i;
/** A module that starts Xen and the like: its arguments are files, each with arguments, separated by ---. */
const MULTIBOOT = /(^|\/)mboot(\.c32)?$/i;
/** These are read from file systems that ignore case. */
const CASELESS = /^(sys|iso)linux\.cfg$/i;
/** A file's name, and its place in a configuration. */
interface Named extends Place {
  readonly name: string;
}

interface Context {
  readonly findings: Finding[];
  readonly configured: Configured;
  /** Since version 5, upper and lower case matter in the names of labels. */
  readonly areLabelsExact: boolean;
}

interface Label extends Place {
  readonly name: string;
  /** A later line with the same keyword replaces an earlier one, here and below. Undefined: the label's name, if there is such a file. */
  kernel: Named | undefined;
  /** Whether the kernel is another configuration. */
  isConfig: boolean;
  /** Whether it boots a file. Others are headings, lead to other menus, or boot a local disk. */
  boots: boolean;
  initrd?: Named;
  append?: Named;
}

/** @param configured receives what they boot */
export async function lintSyslinux(tree: BootTree, configured: Configured): Promise<Finding[]> {
  const findings: Finding[] = [];
  const starts = startsOf(tree, findings);
  // A tree without a configuration is a store of loaders, from which others are made.
  if (starts.length === 0) return findings;
  const modules = await lintModules(tree);
  findings.push(...modules.findings);
  const read = new Set<string>();
  // Configurations that no loader asks for are mostly parts of others. Those that are not may be named by DHCP.
  const asked = starts.filter(isAsked);
  const pending = [...asked, ...starts.filter((start) => !isAsked(start))];
  for (const [index, start] of pending.entries()) {
    if (findings.length > MAX_FINDINGS) break;
    if (index >= asked.length && read.has(start.file.path)) continue;
    const config = new Config(tree, start, { findings, configured, areLabelsExact: modules.areNew });
    for (const path of await config.read()) read.add(path);
    pending.push(...config.others);
  }
  return findings;
}

class Config {
  /** Other configurations to which a menu entry leads. */
  readonly others: Start[] = [];
  readonly #tree: BootTree;
  readonly #start: Start;
  readonly #findings: Finding[];
  readonly #configured: Configured;
  readonly #areLabelsExact: boolean;
  readonly #labels: Label[] = [];
  /** By their lower-case form. */
  readonly #labelNames = new Map<string, string>();
  readonly #read = new Set<string>();
  readonly #missingIncludes: Named[] = [];
  /** Whether an included file is on another server, so that not all labels are known. */
  #isPartElsewhere = false;
  #label: Label | undefined;
  /** What applies to labels without an APPEND of their own. */
  #append: Named | undefined;
  #default: Named | undefined;
  #onTimeout: Named | undefined;
  #ui: Named | undefined;
  #modulePath: string[] = [];

  constructor(tree: BootTree, start: Start, { findings, configured, areLabelsExact }: Context) {
    this.#tree = tree;
    this.#start = start;
    this.#findings = findings;
    this.#configured = configured;
    this.#areLabelsExact = areLabelsExact;
  }

  /** Returns the paths of this configuration and of the files that it includes. */
  async read(): Promise<ReadonlySet<string>> {
    await this.#readFile(this.#start.file, 0);
    for (const label of this.#labels) {
      if (this.#findings.length > MAX_FINDINGS) return this.#read;
      this.#checkLabel(label);
    }
    if (this.#ui !== undefined) this.#boot(this.#ui, [], () => "The machine stops at a boot: prompt");
    this.#checkDefault();
    if (this.#onTimeout !== undefined)
      this.#checkCommand(
        this.#onTimeout,
        (name) => `When the time is up, the machine says ${notLoaded(name)}, and stops at a boot: prompt`,
      );
    this.#checkIncludes();
    return this.#read;
  }

  async #readFile(file: TreeFile, depth: number): Promise<void> {
    if (depth > MAX_DEPTH || this.#read.has(file.path)) return;
    this.#read.add(file.path);
    let isText = false;
    for (const [index, text] of (await this.#tree.lines(file)).entries()) {
      const [, word = "", rest = ""] = /^(\S+)\s*(.*)$/.exec(text.trim()) ?? [];
      const keyword = word.toLowerCase();
      // What is shown to users may begin with any word.
      if (isText) isText = keyword !== "endtext";
      else if (keyword === "text") isText = true;
      else await this.#line(keyword, rest, { file: file.path, line: index + 1 }, depth);
    }
  }

  async #line(keyword: string, rest: string, place: Place, depth: number): Promise<void> {
    const named = { name: rest, ...place };
    const label = this.#label;
    switch (keyword) {
      case "menu": {
        const [, word = "", name = ""] = /^(\S+)\s*(.*)$/.exec(rest) ?? [];
        const action = word.toLowerCase();
        if (/^(disabled?|goto|exit|quit)$/.test(action) && label !== undefined) label.boots = false;
        // These end a label.
        if (/^(separator|begin|end)$/.test(action)) this.#label = undefined;
        if (action === "include") await this.#include(name, place, depth);
        return;
      }
      case "include":
        return this.#include(rest, place, depth);
      case "label":
        this.#label = { ...named, kernel: undefined, isConfig: false, boots: true };
        this.#labels.push(this.#label);
        // Up to version 4, the name is all of the line.
        for (const name of [rest, rest.split(/\s+/)[0]!]) this.#labelNames.set(name.toLowerCase(), name);
        return;
      case "default":
        this.#default = named;
        return;
      case "ontimeout":
        this.#onTimeout = named;
        return;
      case "ui":
        this.#ui = named;
        return;
      case "path":
        // Separated by colons, or by blanks in some versions.
        this.#modulePath = rest.split(/[:\s]+/).slice(0, MAX_MODULE_PATHS);
        return;
      case "config":
      case "kernel":
      case "linux":
      case "com32":
      case "boot":
      case "bss":
      case "fdimage":
      case "pxe":
        if (label !== undefined)
          Object.assign(label, { kernel: named, isConfig: keyword === "config", boots: true });
        return;
      case "localboot":
        if (label !== undefined) label.boots = false;
        return;
      case "fdt":
      case "devicetree":
        if (rest !== "-") this.#check(rest, place, "U-Boot skips the menu entry");
        return;
      case "fdtoverlays":
      case "devicetree-overlay":
        for (const overlay of argumentsIn(named))
          this.#check(overlay.name, place, "U-Boot goes on without the overlay");
        return;
      case "initrd":
        if (label !== undefined) label.initrd = named;
        return;
      case "append":
        if (label === undefined) this.#append = named;
        else label.append = named;
    }
  }

  async #include(rest: string, place: Place, depth: number): Promise<void> {
    const name = rest.split(/\s+/)[0]!;
    if (name === "") return;
    if (ELSEWHERE.test(name)) {
      this.#isPartElsewhere = true;
      return;
    }
    const file = this.#resolve(name);
    if (file === undefined) this.#missingIncludes.push({ name, ...place });
    else await this.#readFile(file, depth + 1);
  }

  #checkLabel({ boots, isConfig, initrd, append, ...label }: Label): void {
    const { name, kernel = label } = label;
    const outcome = (missing: string) =>
      `A user who chooses ${quoted(name)} sees ${notLoaded(missing)}, and is back at the prompt`;
    const [first] = argumentsIn(kernel);
    if (!boots) return;
    if (first === undefined) {
      if (label.kernel !== undefined) this.#addNameless(kernel, outcome(""));
      return;
    }
    // Labels without a kernel are mostly headings.
    if (label.kernel === undefined && this.#resolve(first.name) === undefined) return;
    if (isConfig) {
      this.#addOther(this.#check(first.name, kernel, outcome(first.name)), append?.name);
      return;
    }
    // What is meant for kernels would be a configuration's name to a menu.
    const common = MENU.test(first.name) ? undefined : this.#append;
    const applied = append ?? common;
    const args = applied === undefined || applied.name === "-" ? [] : argumentsIn(applied);
    const own = initrd === undefined ? [] : argumentsIn({ ...initrd, name: `initrd=${initrd.name}` });
    this.#boot(kernel, [...args, ...own], outcome);
  }

  /** Checks a program or kernel, perhaps with arguments on its own line, and the files that the arguments name. */
  #boot(command: Named, more: readonly Named[], outcome: (missing: string) => string): void {
    const [program, ...own] = argumentsIn(command);
    if (program === undefined) return;
    const args = [...own, ...more];
    const file = this.#program(program.name, command, outcome(program.name));
    if (MENU.test(program.name)) {
      for (const { name, ...place } of args) {
        if (name !== "~") this.#addOther(this.#check(name, place, "The menu has no entries from it"));
      }
      return;
    }
    if (MULTIBOOT.test(program.name)) {
      this.#checkModules(args, outcome);
      return;
    }
    const initrds = args
      .filter(({ name }) => /^initrd=/i.test(name))
      .flatMap(({ name, ...place }) => listed(name.slice(7), place));
    for (const { name, ...place } of initrds) if (name === "") this.#addNameless(place, outcome(name));
    const found = initrds.map(({ name, ...place }) => this.#check(name, place, outcome(name)));
    if (file === undefined || file.path.endsWith(".c32")) return;
    this.#configured.kernels.set(file.path, file);
    const there = found.filter((initrd) => initrd !== undefined);
    for (const initrd of there) this.#configured.initrds.set(initrd.path, initrd);
    if (there.length > 0)
      this.#configured.pairs.push({
        config: command.file,
        line: command.line,
        kernel: file,
        initrds: there,
      });
  }

  #checkModules(args: readonly Named[], outcome: (missing: string) => string): void {
    // With an option first, a configuration of its own has the names.
    if (args[0]?.name.startsWith("-")) return;
    for (const [index, { name, ...place }] of args.entries()) {
      const isFile = index === 0 || args[index - 1]!.name === "---";
      if (isFile && name !== "---") this.#check(name, place, outcome(name));
    }
  }

  /** @param directory where the names in it are looked for, if not where those in this configuration are */
  #addOther(file: TreeFile | undefined, directory?: string): void {
    if (file === undefined || this.#read.has(file.path)) return;
    const { bases } = this.#start;
    const own = directory?.replace(FROM_ROOT, "");
    const changed = own === undefined ? bases : bases.map((base) => `${base}/${own}`);
    // Configurations that lead to one another could make them ever longer.
    if (changed.every((base) => base.length <= MAX_DIRECTORY)) this.others.push({ file, bases: changed });
  }

  #checkDefault(): void {
    if (this.#default === undefined) return;
    this.#checkCommand(this.#default, (name) =>
      this.#ui === undefined
        ? `The machine looks for a label or a file ${quoted(name)}, says ${notLoaded(name)}, and stops at a boot: prompt`
        : `The menu has no entry ${quoted(name)}, and begins with its first one`,
    );
  }

  /** A label, or directly what to boot. */
  #checkCommand(command: Named, outcome: (missing: string) => string): void {
    const [first] = argumentsIn(command);
    if (first === undefined || this.#isPartElsewhere) return;
    const labels = [command.name, first.name].map((name) => this.#labelNames.get(name.toLowerCase()));
    const label = labels.find((one) => one !== undefined);
    if (label === undefined) this.#boot(command, [], outcome);
    const isRight = !this.#areLabelsExact || label === undefined || labels.includes(first.name);
    if (isRight || this.#resolve(first.name) !== undefined) return;
    this.#findings.push({
      kind: "missing-file",
      file: command.file,
      line: command.line,
      problem: `names ${quoted(first.name)}, which is neither a label nor a file`,
      outcome: outcome(first.name),
      advice: `There is a label ${quoted(label)}: since version 5, SYSLINUX tells upper case from lower case`,
    });
  }

  /**
   * SYSLINUX silently skips missing files, and menus rely on that. It matters only if nothing else is left to boot, or if the
   * name differs just in case.
   */
  #checkIncludes(): void {
    const isEmpty = this.#labels.length === 0 && this.#default === undefined;
    for (const { name, ...place } of this.#missingIncludes) {
      const near = this.#start.bases.some((base) => this.#tree.near(`${base}/${name}`) !== undefined);
      if (!isEmpty && !near) continue;
      const outcome = isEmpty
        ? "The machine has nothing to boot, and stops at a boot: prompt"
        : "The entries in it are missing from the menu, without a word";
      this.#findings.push({
        ...missingFile(this.#tree, place, { name, bases: this.#start.bases, outcome }),
        kind: "missing-include",
      });
    }
  }

  #check(name: string, place: Place, outcome: string): TreeFile | undefined {
    if (name === "" || ELSEWHERE.test(name)) return undefined;
    const file = this.#resolve(name);
    if (file === undefined) this.#add(name, place, outcome);
    return file;
  }

  /** A kernel, or a module, which is also searched for along PATH. */
  #program(name: string, place: Place, outcome: string): TreeFile | undefined {
    if (ELSEWHERE.test(name)) return undefined;
    // U-Boot's name for a configuration inside an image.
    const [image = ""] = name.split("#");
    for (const one of [...EXTENSIONS.map((extension) => name + extension), image]) {
      const file = one === "" ? undefined : this.#resolve(one, this.#modulePath);
      if (file !== undefined) return file;
    }
    this.#add(name, place, outcome);
    return undefined;
  }

  #resolve(name: string, modulePath: readonly string[] = []): TreeFile | undefined {
    const { bases } = this.#start;
    const more = modulePath.flatMap((path) => bases.map((base) => `${base}/${path}`));
    return resolve(this.#tree, name.replace(FROM_ROOT, ""), [...bases, ...more]);
  }

  /** SYSLINUX loads a file even if its name is empty. */
  #addNameless({ file, line }: Place, outcome: string): void {
    const problem = "names a file without a name";
    const advice = "Write the name, or take out the line or the comma";
    this.#findings.push({ kind: "missing-file", file, line, problem, outcome, advice });
  }

  #add(name: string, { file, line }: Place, outcome: string): void {
    const { bases } = this.#start;
    const isCaseless = CASELESS.test(baseName(this.#start.file.path));
    if (isCaseless && bases.some((base) => this.#tree.near(`${base}/${name}`) !== undefined)) return;
    this.#findings.push(missingFile(this.#tree, { file, line }, { name, bases, outcome }));
  }
}

/** The words of a line, at its place. */
function argumentsIn({ name, file, line }: Named): Named[] {
  const words = name.split(/\s+/).filter((word) => word !== "");
  return words.map((word) => ({ name: word, file, line }));
}

/** Names that are separated by commas. */
function listed(names: string, { file, line }: Place): Named[] {
  return names.split(",").map((name) => ({ name, file, line }));
}

/** The message since version 5; earlier versions say "Could not find kernel image". */
function notLoaded(name: string): string {
  return `"Loading ${quoted(name)}... failed: No such file or directory"`;
}
