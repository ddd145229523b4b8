/** icfs ls: what is in a release. */
import { Command } from "commander";
import { UserError } from "../errors.ts";
import { openRelease, openSource } from "../source/open.ts";
import { hexOf } from "../tree/hash.ts";
import { entrySize } from "../tree/manifest.ts";
import type { TreeNode } from "../tree/tree.ts";
import {
  flag,
  type NetworkOptions,
  RELEASE_ARGUMENT,
  REQUEST_TIMEOUT_MS,
  releaseAddressOf,
  withNetwork,
} from "./options.ts";

interface LsOptions extends NetworkOptions {
  readonly long?: boolean;
  readonly recursive?: boolean;
  readonly json?: boolean;
}

export function lsCommand(): Command {
  const command = new Command("ls")
    .description("list a canister's newest release, or a path in it")
    .argument("<canister>", RELEASE_ARGUMENT)
    .argument("[path]", "relative to the root", "")
    .addOption(flag("-l, --long", "kind, size in bytes, time, and where symlinks point"))
    .addOption(flag("-R, --recursive", "with everything below"))
    .addOption(flag("--json", "one object: release, header, entries"));
  return withNetwork(command, "none, anonymous").action(ls);
}

async function ls(canister: string, path: string, options: LsOptions): Promise<void> {
  const address = await releaseAddressOf(canister, options);
  const { header, hash, tree } = await openRelease(address, openSource(address, REQUEST_TIMEOUT_MS));
  const start = tree.find(path);
  if (start === undefined) throw new UserError(`${path}: not in release ${header.number}`);
  const nodes = start.entry.kind === "directory" ? [...below(start, options.recursive === true)] : [start];
  if (options.json) {
    const entries = nodes.map(({ entry }) => ({
      ...entry,
      modified: isoTime(entry.modified),
      ...(entry.kind === "file" ? { sha256: hexOf(entry.sha256), extents: undefined } : {}),
    }));
    console.log(JSON.stringify({ release: header.number, header: hash.toString("hex"), entries }));
    return;
  }
  const prefix = start.entry.kind === "directory" && start.entry.path !== "" ? `${start.entry.path}/` : "";
  const lines = nodes.map(({ entry }) => {
    const name = entry.path.startsWith(prefix) ? entry.path.slice(prefix.length) : entry.path;
    return options.long ? longLine(entry, name) : name;
  });
  if (lines.length > 0) console.log(lines.join("\n"));
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
  // Times come from strangers, and Date has its limits.
  return Number.isNaN(time.getTime()) ? "9999-12-31T23:59:59.999Z" : time.toISOString();
}
