/** SYSLINUX's loaders and modules: a loader since version 5 needs its ldlinux, and a module the libraries that it names (doc/syslinux.txt). */
import { baseName, parentPath } from "../tree/rules.ts";
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import type { Finding } from "./finding.ts";

/** A loader is smaller. */
const MAX_LOADER_BYTES = 1024 * 1024;
/** Modules up to version 4 begin with these bytes (COM32R); later ones are ELF files. */
const COM32R = Buffer.from("b8ff4ccd21", "hex");

/** What a loader runs first, and what that is compiled for. */
interface Core {
  readonly name: string;
  readonly elfMachine: number;
}

const CORES: Record<string, Core> = {
  bios: { name: "ldlinux.c32", elfMachine: 3 },
  ia32: { name: "ldlinux.e32", elfMachine: 3 },
  x64: { name: "ldlinux.e64", elfMachine: 62 },
};

export async function lintModules(tree: BootTree): Promise<Finding[]> {
  const findings: Finding[] = [];
  const places = placesOf(tree);
  const names: ReadonlySet<string> = new Set([...tree.files()].map(({ path }) => baseName(path)));
  for (const file of tree.files()) {
    if (file.size > MAX_LOADER_BYTES || !/\.(0|efi|c32)$/i.test(file.path)) continue;
    const bytes = await tree.bytes(file, 0, file.size);
    // It may be started by any of its names.
    const directories = places.get(file.path) ?? [];
    const problem = file.path.endsWith(".c32")
      ? missingLibrary(file, bytes, names)
      : await loaderProblem(tree, file, bytes, directories);
    if (problem !== undefined) findings.push({ file: file.path, line: undefined, ...problem });
  }
  return findings;
}

/** For each file, the directories in which it has a name: its own, and those of links to it. */
function placesOf(tree: BootTree): ReadonlyMap<string, readonly string[]> {
  const places = new Map<string, string[]>();
  for (const { entry } of tree.tree.nodes) {
    const file = entry.kind === "directory" ? undefined : tree.file(entry.path);
    if (file === undefined) continue;
    places.set(file.path, [...(places.get(file.path) ?? []), parentPath(entry.path)]);
  }
  return places;
}

type Problem = Pick<Finding, "kind" | "problem" | "outcome" | "advice">;

async function loaderProblem(
  tree: BootTree,
  file: TreeFile,
  bytes: Buffer,
  directories: readonly string[],
): Promise<Problem | undefined> {
  const found = loaderOf(bytes);
  if (found === undefined) return undefined;
  const { title, core } = found;
  const there = directories
    .map((directory) => tree.file(`${directory}/${core.name}`))
    .find((one) => one !== undefined);
  const outcome = `The machine says "Failed to load ${core.name}", and tries again for ever`;
  if (there === undefined) {
    const near = tree.near(`${parentPath(file.path)}/${core.name}`);
    return {
      kind: "missing-module",
      problem: `${title} needs ${core.name} beside it, which is not there`,
      outcome,
      advice:
        near === undefined
          ? `Publish ${core.name} of the same version beside it`
          : `There is ${near}: TFTP servers tell upper case from lower case`,
    };
  }
  const head = await tree.bytes(there, 0, 20);
  if (elfMachineOf(head) === core.elfMachine) return undefined;
  return {
    kind: "foreign-module",
    problem: `${title} needs ${core.name} of its own version and kind; ${there.path} is another one's`,
    outcome,
    advice: `Publish ${core.name} from the same package as ${baseName(file.path)}`,
  };
}

/** SYSLINUX since version 5; earlier ones, and other loaders, need no module to start. */
function loaderOf(bytes: Buffer): { readonly title: string; readonly core: Core } | undefined {
  const text = bytes.toString("latin1");
  const [title, major = ""] = /(?:PXELINUX|ISOLINUX|SYSLINUX) (\d+)\.\d+/.exec(text) ?? [];
  const isEfi = text.startsWith("MZ");
  if (isEfi) {
    const kind = text.includes("ldlinux.e64") ? "x64" : text.includes("ldlinux.e32") ? "ia32" : undefined;
    return kind && { title: "SYSLINUX for EFI", core: CORES[kind]! };
  }
  return title !== undefined && Number(major) >= 5 ? { title, core: CORES.bios! } : undefined;
}

/** Libraries are looked for beside the loader and along PATH; beside the module is where they are published. */
function missingLibrary(file: TreeFile, bytes: Buffer, there: ReadonlySet<string>): Problem | undefined {
  if (bytes.subarray(0, COM32R.length).equals(COM32R)) return undefined;
  if (elfMachineOf(bytes) === undefined) return undefined;
  const names = new Set(
    [...bytes.toString("latin1").matchAll(/(?<=\0)lib[a-z0-9_]+\.c32(?=\0)/g)].map(([name]) => name),
  );
  const missing = [...names].filter((name) => !there.has(name));
  if (missing.length === 0) return undefined;
  return {
    kind: "missing-module",
    problem: `needs ${missing.join(" and ")}, which ${missing.length === 1 ? "is" : "are"} not there`,
    outcome: `The machine says "Failed to load COM32 file ${baseName(file.path)}"`,
    advice: `Publish ${missing.join(" and ")} of the same version beside it`,
  };
}

/** e_machine of an ELF file (elf(5)); undefined where it is none. */
function elfMachineOf(head: Buffer): number | undefined {
  return head.length >= 20 && head.readUInt32BE(0) === 0x7f454c46 ? head.readUInt16LE(18) : undefined;
}
