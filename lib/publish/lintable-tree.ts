/** Checks a directory on this host before it is published. */

import { createReadStream } from "node:fs";
import type { ReadFile } from "../lint/boot-tree.ts";
import type { Finding } from "../lint/finding.ts";
import { lint } from "../lint/lint.ts";
import { Tree, type TreeEntry } from "../tree/tree.ts";
import { countText } from "../units.ts";
import { Problems } from "./problems.ts";
import { type Reading, scan } from "./scan.ts";
import { isMade, type Scanned } from "./scanned.ts";

/**
 * Finds what would keep machines from booting from a directory.
 *
 * @throws UserError when it is not a directory, or contains something that cannot be published
 */
export async function lintDirectory(directory: string, reading: Reading): Promise<Finding[]> {
  const problems = new Problems();
  const { entries } = await scan(directory, reading, problems);
  problems.throwIfAny(directory);
  const listed = entries.map((entry): TreeEntry => {
    if (entry.kind !== "file") return entry;
    const { kind, path, modified, size, executable } = entry;
    return { kind, path, modified, size, executable, sha256: undefined, extents: [] };
  });
  return lintLocal(Tree.of({ chunks: [], entries: listed }, 0n), entries);
}

/**
 * Finds what would keep machines from booting from a directory's tree. A problem that all files of a template share is reported
 * once.
 */
export async function lintLocal(tree: Tree, scanned: readonly Scanned[]): Promise<Finding[]> {
  const made = new Map(
    scanned.filter(isMade).map(({ path, made: { machine, template } }) => [path, { machine, template }]),
  );
  const findings = (await lint(tree, localReader(scanned))).map((one) => ({ ...one, ...made.get(one.file) }));
  const key = ({ kind, template, problem }: Finding) => `${kind}\n${template}\n${problem}`;
  // For files that were not made from a template, lint itself merges repeated findings.
  const groups = Map.groupBy(findings, (one) => (one.template === undefined ? one : key(one)));
  return [...groups.values()].map(([first, ...others]) => {
    const more = new Set(others.map(({ machine }) => machine));
    more.delete(first!.machine);
    if (more.size === 0) return first!;
    return { ...first!, problem: `${first!.problem} (and so for ${countText(more.size, "more machine")})` };
  });
}

/** Reads the files of the scanned directory in place. */
function localReader(scanned: readonly Scanned[]): ReadFile {
  const files = new Map(scanned.flatMap((entry) => (entry.kind === "file" ? [[entry.path, entry]] : [])));
  return (file, from) => {
    const found = files.get(file.path)!;
    return "bytes" in found ? inMemory(found.bytes, from) : createReadStream(found.source, { start: from });
  };
}

async function* inMemory(bytes: Buffer, from: number): AsyncGenerator<Uint8Array> {
  yield bytes.subarray(from);
}
