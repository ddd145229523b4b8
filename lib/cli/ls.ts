/** icfs ls: lists the files of a release. */
import { Command } from "commander";
import { UserError } from "../errors.ts";
import { jsonLine, oneLine } from "../log.ts";
import { nameOf, namesOf } from "../source/words.ts";
import { hexOf } from "../tree/hash.ts";
import { entrySize, type TreeNode } from "../tree/tree.ts";
import { checkOrder } from "./argument-order.ts";
import { flag, RELEASE_ARGUMENT, type ReadingOptions, withMirrors } from "./options.ts";
import { openForReading } from "./reading.ts";

interface LsOptions extends ReadingOptions {
  readonly long?: boolean;
  readonly recursive?: boolean;
  readonly json?: boolean;
}

export function lsCommand(): Command {
  const command = new Command("ls")
    .description(
      "list a canister's newest release, or a path in it, one entry a line. On a terminal, characters that change the direction of text are escaped",
    )
    .argument("<canister>", RELEASE_ARGUMENT)
    .argument("[path]", "relative to the root", "")
    .addOption(flag("-l, --long", "kind, size in bytes, time, and where symlinks point"))
    .addOption(flag("-R, --recursive", "with everything below"))
    .addOption(flag("--json", "one object: source, release and header, or snapshot, verified, entries"));
  return withMirrors(command).action(ls);
}

async function ls(canister: string, path: string, options: LsOptions): Promise<void> {
  checkOrder(canister, path, (id, inside) => `icfs ls ${id} ${inside}`);
  const { release, source, tree } = await openForReading(canister, options);
  const start = tree.find(path);
  if (start === undefined) throw new UserError(`${path}: not in ${nameOf(release)}`);
  const nodes = start.entry.kind === "directory" ? [...below(start, options.recursive === true)] : [start];
  if (options.json) {
    const entries = nodes.map(({ entry }) => ({
      ...entry,
      modified: isoTime(entry.modified),
      ...(entry.kind === "file"
        ? { sha256: entry.sha256 && hexOf(entry.sha256), extents: undefined, learn: undefined }
        : {}),
    }));
    const { verified } = release;
    console.log(jsonLine({ source: source.kind, ...namesOf(release), verified, entries }));
    return;
  }
  const prefix = start.entry.kind === "directory" && start.entry.path !== "" ? `${start.entry.path}/` : "";
  const lines = nodes.map(({ entry }) => {
    const name = entry.path.startsWith(prefix) ? entry.path.slice(prefix.length) : entry.path;
    return options.long ? longLine(entry, name) : name;
  });
  // Programs get unchanged names. Names never contain control characters (lib/tree/rules.ts).
  const shown = process.stdout.isTTY ? lines.map(oneLine) : lines;
  if (shown.length > 0) console.log(shown.join("\n"));
}

function* below(directory: TreeNode, recursive: boolean): Generator<TreeNode> {
  for (const node of directory.children.values()) {
    yield node;
    if (recursive) yield* below(node, true);
  }
}

function longLine(entry: TreeNode["entry"], name: string): string {
  const kind = { directory: "dr-xr-xr-x", symlink: "lrwxrwxrwx", file: "-r--r--r--" }[entry.kind];
  const mode = entry.kind === "file" && entry.executable ? "-r-xr-xr-x" : kind;
  const size = entrySize(entry);
  const target = entry.kind === "symlink" ? ` -> ${entry.target}` : "";
  return `${mode} ${String(size).padStart(11)} ${isoTime(entry.modified).slice(0, 19)} ${name}${target}`;
}

function isoTime(nanoseconds: bigint): string {
  const time = new Date(Number(nanoseconds / 1_000_000n));
  // Times come from strangers, and Date has limits.
  return Number.isNaN(time.getTime()) ? "9999-12-31T23:59:59.999Z" : time.toISOString();
}
