/**
 * Examines paths that may lead into dead or hanging file systems, in a child process with a time limit: a blocked system call
 * cannot be cancelled, and its process sometimes not even killed.
 */

import { resolve } from "node:path";
import { UserError } from "../../errors.ts";
import { run } from "../../process/command.ts";

export interface Inspection {
  /** Absolute, without symlinks, whether or not the last component exists. */
  readonly path: string;
  /** The error code of stat (ENOENT, ENOTCONN for a dead mount, ...) or ENOTDIR; undefined for a usable directory. */
  readonly code?: string;
  /** The number of names in the directory. */
  readonly entries: number;
}

// A file system that has not answered by then will not answer.
const LIMIT_MS = 5000;
// The time for the child to start, which does not count: a booting host may be slow to start a program.
const START_MS = 60_000;

// Plain JavaScript, for node -e. realpath() of a dead mountpoint fails, so it resolves only the directory,
// and the last component is added. It writes a line when it begins, and then JSON, to stdout.
const SCRIPT = `
const fs = require("node:fs");
const { basename, dirname, join, resolve } = require("node:path");
const [name, look, closed] = process.argv.slice(1);
fs.writeSync(1, "\\n");
let path = resolve(name);
const result = { path, entries: 0 };
try {
  for (let hops = 0; hops < 40; hops++) {
    path = join(fs.realpathSync(dirname(path)), basename(path));
    let target;
    try { target = fs.readlinkSync(path); } catch { break; }
    path = resolve(dirname(path), target);
  }
  result.path = path;
  if (look === "inspect") {
    if (JSON.parse(closed).includes(path)) {}
    else if (fs.statSync(path).isDirectory()) result.entries = fs.readdirSync(path).length;
    else result.code = "ENOTDIR";
  }
} catch (error) {
  result.code = error.code;
}
console.log(JSON.stringify(result));
`;

/** Resolves `path` without touching what is mounted there. @throws UserError when its directory does not answer */
export async function locate(path: string): Promise<string> {
  return (await probe(path, "locate")).path;
}

/**
 * Resolves `path` and reads the directory.
 *
 * @param closed directories that must not be touched, absolute and without symlinks: they count as empty
 * @throws UserError when it does not answer
 */
export async function inspect(path: string, closed: readonly string[] = []): Promise<Inspection> {
  return probe(path, "inspect", closed);
}

/** @throws UserError when it is relative to a directory that is gone */
function absolutePath(path: string): string {
  try {
    return resolve(path);
  } catch {
    throw new UserError(`the current directory, in which ${path} would be, is gone: give the full path`);
  }
}

async function probe(
  path: string,
  look: "locate" | "inspect",
  closed: readonly string[] = [],
): Promise<Inspection> {
  const parameters = ["-e", SCRIPT, "--", absolutePath(path), look, JSON.stringify(closed)];
  const { code, stdout, stderr, timedOut } = await run(process.execPath, parameters, LIMIT_MS, {
    startMs: START_MS,
  });
  if (timedOut) throw new UserError(`${path} does not answer: the file system there, or above it, hangs`);
  if (code !== 0) throw new UserError(`cannot look at ${path}: ${stderr.trim()}`);
  return JSON.parse(stdout) as Inspection;
}
