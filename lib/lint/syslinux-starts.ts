/** Which configurations PXELINUX, EXTLINUX and SYSLINUX read first, by their names (doc/pxelinux.txt). */
import { baseName } from "../tree/rules.ts";
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import type { Finding } from "./finding.ts";
import { ancestorsOf, REPLACED } from "./references.ts";

/** Files in a directory pxelinux.cfg that no machine asks for, and that are not configurations either. */
const NO_CONFIG = /^(\..*|readme.*|.*\.(md|txt|html?|png|jpe?g|gz|c32|sh))$/i;
const CONFIG_DIRECTORY = "pxelinux.cfg";
const CONFIG_NAMES = new Set(["syslinux.cfg", "isolinux.cfg", "extlinux.conf"]);
/** Names that loaders ask for: default, a MAC after its hardware type, an IPv4 address or a prefix of it, a UUID. */
const ASKED =
  /^(default|[0-9a-f]{2}(-[0-9a-f]{2}){6,}|[0-9a-f]{1,8}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(sys|iso|ext)linux\.(cfg|conf))$/i;

/** A configuration that a loader reads first. */
export interface Start {
  readonly file: TreeFile;
  /** Directories that its names may be relative to. */
  readonly bases: readonly string[];
}

/** Whether a loader asks for this name. Other configurations are mostly parts of such. */
export function isAsked({ file }: Start): boolean {
  return ASKED.test(baseName(file.path));
}

/**
 * The configurations of a tree. One file can have several names, through each link to a directory pxelinux.cfg.
 *
 * @param findings receives names that no machine asks for
 */
export function startsOf(tree: BootTree, findings: Finding[]): Start[] {
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
    if (name !== CONFIG_DIRECTORY && name.toLowerCase() === CONFIG_DIRECTORY && entry.kind === "directory") {
      findings.push({
        kind: "config-name",
        file: entry.path,
        line: undefined,
        problem: "no machine asks for this name",
        outcome: 'PXELINUX says "Unable to locate configuration file", and stops',
        advice: `PXELINUX asks for files in ${CONFIG_DIRECTORY}`,
      });
    } else if (name === CONFIG_DIRECTORY) {
      const found = tree.tree.find(entry.path);
      for (const child of found?.children.keys() ?? []) {
        const file = tree.file(`${entry.path}/${child}`);
        if (file === undefined || NO_CONFIG.test(child) || REPLACED.test(child)) continue;
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
  if (/^default$/i.test(name) && name !== "default") {
    return { problem: "no machine asks for this name", outcome, advice: "PXELINUX asks for default" };
  }
  if (/^[0-9a-f]{8}$/i.test(name) && name !== name.toUpperCase()) {
    return {
      problem: "no machine asks for this name",
      outcome,
      advice: `PXELINUX asks for an address in upper case: ${name.toUpperCase()}`,
    };
  }
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(name) && name !== name.toLowerCase()) {
    return {
      problem: "no machine asks for this name",
      outcome,
      advice: `PXELINUX asks for a UUID in lower case: ${name.toLowerCase()}`,
    };
  }
  return undefined;
}
