/**
 * Checks configurations of PXELINUX, EXTLINUX and SYSLINUX by the rules of their documentation (doc/syslinux.txt,
 * doc/pxelinux.txt): which files they name, and whether a machine finds them.
 */
import { baseName } from "../tree/rules.ts";
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import { type Finding, MAX_FINDINGS, quoted } from "./finding.ts";
import { ancestorsOf, type Configured, missingFile, type Place, resolve } from "./references.ts";
import { lintModules } from "./syslinux-modules.ts";

/** The depth of includes at which SYSLINUX itself stops. */
const MAX_DEPTH = 16;
/** The most directories in PATH. */
const MAX_MODULE_PATHS = 16;
/** Files in a directory pxelinux.cfg that no machine asks for, and that are not configurations either. */
const NO_CONFIG = /^(\..*|.*~|readme.*|.*\.(md|txt|html?|bak|orig|old|rej|sw[op]|png|jpe?g|gz|c32|sh))$/i;
/** The extensions that SYSLINUX tries for a name without one (doc/syslinux.txt, KERNEL). */
const EXTENSIONS = ["", ".cbt", ".bss", ".com", ".bs", ".c32", ".0", ".bin"];
const CONFIG_NAMES = new Set(["syslinux.cfg", "isolinux.cfg", "extlinux.conf"]);
/** Names that begin like this are on another server, or not files; those with a backslash are on a disk. */
const ELSEWHERE = /^([a-z][a-z0-9+.-]*:\/\/|[^/]*::)|\\/i;
/** These are read from file systems that ignore case. */
const CASELESS = /^(sys|iso)linux\.cfg$/i;
/** Names that loaders ask for: default, a MAC after its hardware type, an IPv4 address or a prefix of it, a UUID. */
const ASKED =
  /^(default|[0-9a-f]{2}(-[0-9a-f]{2}){6,}|[0-9a-f]{1,8}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(sys|iso|ext)linux\.(cfg|conf))$/i;

/** A configuration that a loader reads first. */
interface Start {
  readonly file: TreeFile;
  /** Directories that its names may be relative to. */
  readonly bases: readonly string[];
}

/** A file's name, and its place in a configuration. */
interface Named extends Place {
  readonly name: string;
}

interface Label {
  readonly name: string;
  kernel?: Named;
  readonly initrds: Named[];
}

/** @param configured receives what they boot */
export async function lintSyslinux(tree: BootTree, configured: Configured): Promise<Finding[]> {
  const findings: Finding[] = [];
  const starts = startsOf(tree, findings);
  // A tree without a configuration is a store of loaders, from which others are made.
  if (starts.length > 0) findings.push(...(await lintModules(tree)));
  const isAsked = ({ file }: Start) => ASKED.test(baseName(file.path));
  const read = new Set<string>();
  // Configurations that no loader asks for are mostly parts of others. Those that are not may be named by DHCP.
  for (const start of [...starts.filter(isAsked), ...starts.filter((start) => !isAsked(start))]) {
    if (findings.length > MAX_FINDINGS) break;
    if (!isAsked(start) && read.has(start.file.path)) continue;
    const config = new Config(tree, start, findings, configured);
    for (const path of await config.read()) read.add(path);
  }
  return findings;
}

/** One file can have several names, through each link to a directory pxelinux.cfg. */
function startsOf(tree: BootTree, findings: Finding[]): Start[] {
  const starts = new Map<string, { file: TreeFile; bases: Set<string> }>();
  const add = (file: TreeFile, directory: string) => {
    const start = starts.get(file.path) ?? { file, bases: new Set<string>() };
    for (const base of ancestorsOf(directory)) start.bases.add(base);
    starts.set(file.path, start);
  };
  for (const { entry } of tree.tree.nodes) {
    const slash = entry.path.lastIndexOf("/");
    const name = entry.path.slice(slash + 1);
    const directory = slash < 0 ? "" : entry.path.slice(0, slash);
    if (name === "pxelinux.cfg") {
      const found = tree.tree.find(entry.path);
      for (const child of found?.children.keys() ?? []) {
        const file = tree.file(`${entry.path}/${child}`);
        if (file === undefined || NO_CONFIG.test(child)) continue;
        const problem = configNameProblem(child);
        if (problem !== undefined)
          findings.push({ kind: "config-name", file: file.path, line: undefined, ...problem });
        add(file, directory);
      }
    } else if (CONFIG_NAMES.has(name)) {
      const file = tree.file(entry.path);
      if (file !== undefined) add(file, directory);
    }
  }
  return [...starts.values()].map(({ file, bases }) => ({ file, bases: [...bases] }));
}

/**
 * PXELINUX asks for a UUID, 01-MAC, an IPv4 address in upper-case hexadecimal and its prefixes, and default (doc/pxelinux.txt).
 */
function configNameProblem(name: string): Pick<Finding, "problem" | "outcome" | "advice"> | undefined {
  const outcome = "The machine that it is meant for reads another configuration, or none";
  const mac = /^(?:01[-:])?([0-9a-f]{2}(?:[-:]?[0-9a-f]{2}){5})$/i.exec(name)?.[1];
  if (mac !== undefined) {
    const right = `01-${mac.toLowerCase().replaceAll(/[-:]/g, "").match(/../g)!.join("-")}`;
    if (name === right) return undefined;
    return {
      problem: "no machine asks for this name",
      outcome,
      advice: `For this MAC, PXELINUX asks for ${right}`,
    };
  }
  if (/^[0-9a-f]{8}$/i.test(name) && name !== name.toUpperCase()) {
    return {
      problem: "no machine asks for this name",
      outcome,
      advice: `PXELINUX asks for an address in upper case: ${name.toUpperCase()}`,
    };
  }
  return undefined;
}

class Config {
  readonly #tree: BootTree;
  readonly #start: Start;
  readonly #findings: Finding[];
  readonly #configured: Configured;
  readonly #labels = new Map<string, Label>();
  readonly #read = new Set<string>();
  readonly #missingIncludes: Named[] = [];
  #label: Label | undefined;
  #default: Named | undefined;
  #ui: Named | undefined;
  #modulePath: string[] = [];

  constructor(tree: BootTree, start: Start, findings: Finding[], configured: Configured) {
    this.#tree = tree;
    this.#start = start;
    this.#findings = findings;
    this.#configured = configured;
  }

  /** Returns the paths of this configuration and of the files that it includes. */
  async read(): Promise<ReadonlySet<string>> {
    await this.#readFile(this.#start.file, 0);
    for (const label of this.#labels.values()) {
      if (this.#findings.length > MAX_FINDINGS) return this.#read;
      this.#checkLabel(label);
    }
    if (this.#ui !== undefined) this.#program(this.#ui.name, this.#ui, "The machine stops at a boot: prompt");
    this.#checkDefault();
    this.#checkIncludes();
    return this.#read;
  }

  async #readFile(file: TreeFile, depth: number): Promise<void> {
    if (depth > MAX_DEPTH || this.#read.has(file.path)) return;
    this.#read.add(file.path);
    for (const [index, text] of (await this.#tree.lines(file)).entries()) {
      const [, keyword = "", rest = ""] = /^(\S+)\s*(.*)$/.exec(text.trim()) ?? [];
      await this.#line(keyword.toLowerCase(), rest, { file: file.path, line: index + 1 }, depth);
    }
  }

  async #line(keyword: string, rest: string, place: Place, depth: number): Promise<void> {
    switch (keyword) {
      case "menu": {
        const [, word = "", name = ""] = /^(\S+)\s*(.*)$/.exec(rest) ?? [];
        if (word.toLowerCase() === "include") await this.#include(name, place, depth);
        return;
      }
      case "include":
        return this.#include(rest, place, depth);
      case "label":
        this.#label = { name: rest.toLowerCase(), initrds: [] };
        this.#labels.set(this.#label.name, this.#label);
        return;
      case "default":
        this.#default = { name: rest, ...place };
        return;
      case "ui":
        this.#ui = { name: rest, ...place };
        return;
      case "path":
        this.#modulePath = rest.split(":").slice(0, MAX_MODULE_PATHS);
        return;
      case "config":
      case "kernel":
      case "linux":
      case "com32":
      case "boot":
      case "bss":
      case "pxe":
        if (this.#label !== undefined && this.#label.kernel === undefined) {
          this.#label.kernel = { name: rest.split(/\s+/)[0]!, ...place };
        } else if (keyword === "config" && this.#label !== undefined) {
          this.#check(rest, place, "The menu entry leads back to the prompt");
        }
        return;
      case "initrd":
        this.#initrds(rest, place);
        return;
      case "append": {
        for (const argument of rest.split(/\s+/)) {
          if (argument.toLowerCase().startsWith("initrd=")) this.#initrds(argument.slice(7), place);
        }
      }
    }
  }

  #initrds(names: string, place: Place): void {
    // An APPEND before all labels applies to each label without one.
    for (const name of names.split(",")) if (name !== "") this.#label?.initrds.push({ name, ...place });
  }

  async #include(rest: string, place: Place, depth: number): Promise<void> {
    const name = rest.split(/\s+/)[0]!;
    if (name === "" || ELSEWHERE.test(name)) return;
    const file = resolve(this.#tree, name, this.#start.bases);
    if (file === undefined) this.#missingIncludes.push({ name, ...place });
    else await this.#readFile(file, depth + 1);
  }

  #checkLabel({ name, kernel, initrds }: Label): void {
    if (kernel === undefined) return;
    const file = this.#program(
      kernel.name,
      kernel,
      `A user who chooses ${quoted(name)} sees ${notLoaded(kernel.name)}, and is back at the prompt`,
    );
    const found = initrds.map((initrd) =>
      this.#check(
        initrd.name,
        initrd,
        `A user who chooses ${quoted(name)} sees ${notLoaded(initrd.name)}, and is back at the prompt`,
      ),
    );
    if (file === undefined || file.path.endsWith(".c32")) return;
    this.#configured.kernels.set(file.path, file);
    const there = found.filter((initrd) => initrd !== undefined);
    for (const initrd of there) this.#configured.initrds.set(initrd.path, initrd);
    if (there.length > 0)
      this.#configured.pairs.push({ config: kernel.file, line: kernel.line, kernel: file, initrds: there });
  }

  /** DEFAULT names a label, or directly what to boot. */
  #checkDefault(): void {
    if (this.#default === undefined) return;
    const [name = ""] = this.#default.name.split(/\s+/);
    if (
      name === "" ||
      this.#labels.has(this.#default.name.toLowerCase()) ||
      this.#labels.has(name.toLowerCase())
    )
      return;
    this.#program(
      name,
      this.#default,
      `The machine looks for a label or a file ${quoted(name)}, says ${notLoaded(name)}, and stops at a boot: prompt`,
    );
  }

  /**
   * SYSLINUX silently skips missing files, and menus rely on that. It matters only if nothing else is left to boot, or if the
   * name differs just in case.
   */
  #checkIncludes(): void {
    const isEmpty = this.#labels.size === 0 && this.#default === undefined;
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
    const file = resolve(this.#tree, name, this.#start.bases);
    if (file === undefined) this.#add(name, place, outcome);
    return file;
  }

  /** A kernel, or a module, which is also searched for along PATH. */
  #program(name: string, place: Place, outcome: string): TreeFile | undefined {
    const [first = ""] = name.split(/\s+/);
    if (first === "" || ELSEWHERE.test(first)) return undefined;
    const bases = [
      ...this.#start.bases,
      ...this.#modulePath.flatMap((path) => this.#start.bases.map((base) => `${base}/${path}`)),
    ];
    for (const extension of /\.[a-z0-9]+$/i.test(first) ? [""] : EXTENSIONS) {
      const file = resolve(this.#tree, first + extension, bases);
      if (file !== undefined) return file;
    }
    this.#add(first, place, outcome);
    return undefined;
  }

  #add(name: string, { file, line }: Place, outcome: string): void {
    const { bases } = this.#start;
    const isCaseless = CASELESS.test(baseName(this.#start.file.path));
    if (isCaseless && bases.some((base) => this.#tree.near(`${base}/${name}`) !== undefined)) return;
    this.#findings.push(missingFile(this.#tree, { file, line }, { name, bases, outcome }));
  }
}

/** The message since version 5; earlier versions say "Could not find kernel image". */
function notLoaded(name: string): string {
  return `"Loading ${quoted(name)}... failed: No such file or directory"`;
}
