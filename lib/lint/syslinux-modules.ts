/**
 * Checks SYSLINUX's loaders and modules: since version 5 a loader needs its ldlinux, and a module the libraries that it names
 * (doc/syslinux.txt); a loader accepts only modules of its own kind.
 */
import { baseName, parentPath } from "../tree/rules.ts";
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import type { Finding } from "./finding.ts";
import { placesOf } from "./references.ts";

/** Every loader is smaller. */
const MAX_LOADER_BYTES = 1024 * 1024;
/** Modules up to version 4 begin with one of these (COM32, COM32R); later ones are ELF files. */
const COM32 = ["b8fe4ccd21", "b8ff4ccd21"].map((bytes) => Buffer.from(bytes, "hex"));

/** The formats of modules: COM32 up to version 4; since then ELF, of 32 bits for BIOS or EFI, or of 64 bits. */
type ModuleKind = "COM32" | "ELF32" | "ELF64";

interface Loader {
  readonly title: string;
  /** The file that it starts first; undefined if it needs none. */
  readonly core: string | undefined;
  readonly modules: ModuleKind;
}

interface Found extends Loader {
  readonly file: TreeFile;
  /** The directories of all its names, since it may be started under any of them. */
  readonly directories: readonly string[];
}

/** The loaders in a directory. */
interface Beside {
  /** The first loader of the directory. */
  readonly loader: Found;
  /** The kinds of modules that its loaders accept. */
  readonly kinds: Set<ModuleKind>;
}

interface Module {
  readonly file: TreeFile;
  readonly kind: ModuleKind | undefined;
  /** The libraries that it needs. */
  readonly libraries: readonly string[];
}

/** Also returns whether there are loaders, all of version 5 or later. */
export async function lintModules(tree: BootTree): Promise<{ findings: Finding[]; areNew: boolean }> {
  const findings: Finding[] = [];
  const places = placesOf(tree);
  const names: ReadonlySet<string> = new Set([...tree.files()].map(({ path }) => baseName(path)));
  const loaders: Found[] = [];
  const modules: Module[] = [];
  const add = (file: TreeFile, problem: Problem | undefined) => {
    if (problem !== undefined) findings.push({ file: file.path, line: undefined, ...problem });
  };
  for (const file of tree.files()) {
    if (file.size > MAX_LOADER_BYTES || !/\.(0|efi|c32)$/i.test(file.path)) continue;
    const bytes = await tree.bytes(file, 0, file.size);
    if (file.path.endsWith(".c32")) {
      modules.push({ file, kind: moduleKindOf(bytes), libraries: librariesOf(bytes) });
      continue;
    }
    const loader = loaderOf(bytes);
    if (loader !== undefined) loaders.push({ ...loader, file, directories: places.get(file.path) ?? [] });
  }
  for (const loader of loaders) add(loader.file, await coreProblem(tree, loader));
  const cores = new Set(loaders.map(({ core }) => core));
  const beside = new Map<string, Beside>();
  for (const loader of loaders) {
    for (const directory of loader.directories) {
      const there = beside.get(directory) ?? { loader, kinds: new Set() };
      beside.set(directory, there);
      there.kinds.add(loader.modules);
    }
  }
  for (const module of modules) {
    const { file } = module;
    // A loader's ldlinux has been checked already.
    const foreign = cores.has(baseName(file.path))
      ? undefined
      : foreignModule(module, beside.get(parentPath(file.path)));
    add(file, foreign ?? missingLibrary(module, names));
  }
  return { findings, areNew: loaders.length > 0 && loaders.every(({ core }) => core !== undefined) };
}

type Problem = Pick<Finding, "kind" | "problem" | "outcome" | "advice">;

async function coreProblem(
  tree: BootTree,
  { file, directories, title, core, modules }: Found,
): Promise<Problem | undefined> {
  if (core === undefined) return undefined;
  const there = directories
    .map((directory) => tree.file(`${directory}/${core}`))
    .find((one) => one !== undefined);
  const outcome = `The machine says "Failed to load ${core}", and starts again after a while`;
  if (there === undefined) {
    const near = tree.near(`${parentPath(file.path)}/${core}`);
    return {
      kind: "missing-module",
      problem: `${title} needs ${core} beside it, which is not there`,
      outcome,
      advice:
        near === undefined
          ? `Publish ${core} of the same version beside it`
          : `There is ${near}: TFTP servers tell upper case from lower case`,
    };
  }
  if (moduleKindOf(await tree.bytes(there, 0, 20)) === modules) return undefined;
  return {
    kind: "foreign-module",
    problem: `${title} needs ${core} of its own version and kind; ${there.path} is another one's`,
    outcome,
    advice: `Publish ${core} from the same package as ${baseName(file.path)}`,
  };
}

/** Undefined if it is another loader, or does not contain its version. */
function loaderOf(bytes: Buffer): Loader | undefined {
  const text = bytes.toString("latin1");
  if (text.startsWith("MZ")) {
    const title = "SYSLINUX for EFI";
    if (text.includes("ldlinux.e64")) return { title, core: "ldlinux.e64", modules: "ELF64" };
    return text.includes("ldlinux.e32") ? { title, core: "ldlinux.e32", modules: "ELF32" } : undefined;
  }
  const [title, major] = /(?:PXELINUX|ISOLINUX|SYSLINUX) (\d+)\.\d+/.exec(text) ?? [];
  if (title === undefined) return undefined;
  return Number(major) >= 5
    ? { title, core: "ldlinux.c32", modules: "ELF32" }
    : { title, core: undefined, modules: "COM32" };
}

function foreignModule({ file, kind }: Module, beside: Beside | undefined): Problem | undefined {
  if (kind === undefined || beside === undefined || beside.kinds.has(kind)) return undefined;
  const { loader } = beside;
  return {
    kind: "foreign-module",
    problem: `belongs to another version or firmware than ${loader.title} beside it`,
    outcome: `The machine says "Failed to load COM32 file ${baseName(file.path)}", or hangs`,
    advice: `Publish ${baseName(file.path)} of the same version as ${baseName(loader.file.path)}`,
  };
}

/** The most libraries that a module may name. */
const MAX_LIBRARIES = 100;

function librariesOf(bytes: Buffer): string[] {
  if (!moduleKindOf(bytes)?.startsWith("ELF")) return [];
  const names = new Set<string>();
  for (const [name] of bytes.toString("latin1").matchAll(/(?<=\0)lib[a-z0-9_]{1,60}\.c32(?=\0)/g)) {
    if (names.size < MAX_LIBRARIES) names.add(name);
  }
  return [...names];
}

/** Loaders look for libraries in their own directory and along PATH. It is enough here if the tree contains them anywhere. */
function missingLibrary({ file, libraries }: Module, there: ReadonlySet<string>): Problem | undefined {
  const missing = libraries.filter((name) => !there.has(name));
  if (missing.length === 0) return undefined;
  return {
    kind: "missing-module",
    problem: `needs ${missing.join(" and ")}, which ${missing.length === 1 ? "is" : "are"} not there`,
    outcome: `The machine says "Failed to load COM32 file ${baseName(file.path)}"`,
    advice: `Publish ${missing.join(" and ")} of the same version beside it`,
  };
}

/** Determined by a module's first bytes; the fifth byte of an ELF file is its class (elf(5)). */
function moduleKindOf(head: Buffer): ModuleKind | undefined {
  if (COM32.some((magic) => head.subarray(0, magic.length).equals(magic))) return "COM32";
  if (head.length < 20 || head.readUInt32BE(0) !== 0x7f454c46) return undefined;
  return head[4] === 2 ? "ELF64" : "ELF32";
}
