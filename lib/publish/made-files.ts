/**
 * Adds generated files to a directory that is published: they are made for machines (lib/machines/), and exist only in memory. A
 * name that leads through symlinks of the directory is placed where they lead, as if the file had been written there.
 */
import { createHash } from "node:crypto";
import { followLink, type LinkStep, parentPath, readersBudget } from "../tree/rules.ts";
import type { Problems } from "./problems.ts";
import { isMade, type MadeFor, type Scanned } from "./scanned.ts";

/** A generated file. */
export interface MadeFile extends MadeFor {
  readonly path: string;
  readonly bytes: Buffer;
}

/** Generates files for a directory. */
export interface Making {
  /** The files and directories on this host that it reads, without symlinks. They are not published themselves. */
  readonly sources: readonly string[];
  /**
   * @param paths the directory's files
   * @returns the generated files; those that change together are neighbours
   * @throws UserError
   */
  files(paths: readonly string[]): readonly MadeFile[];
}

/** The modification time of directories that exist only for generated files: 2000-01-01. */
const EARLIEST_SECONDS = 946_684_800;
const SPAN_SECONDS = 20 * 365 * 86_400;
const NANOSECONDS = 1_000_000_000n;

/**
 * A modification time derived from the file's bytes, in whole seconds from 2000 on. Equal bytes get the same time whenever and
 * wherever they are made. Different bytes get another time (except for about one pair in 600 million), by which HTTP servers and rsync
 * notice a change.
 */
function timeOf(bytes: Buffer): bigint {
  const hash = createHash("sha256").update(bytes).digest();
  return BigInt(EARLIEST_SECONDS + (hash.readUInt32BE(0) % SPAN_SECONDS)) * NANOSECONDS;
}

/**
 * Entries for generated files and the directories that they need.
 *
 * @param entries of the directory, by path; put each returned entry in before asking for the next
 * @param problems receives conflicts
 */
export function* placed(
  files: readonly MadeFile[],
  entries: ReadonlyMap<string, Scanned>,
  problems: Problems,
): Generator<Scanned> {
  const ways = new Ways(entries);
  for (const [order, { path, bytes, machine, template }] of files.entries()) {
    const of = `made of the template ${template} for ${machine}`;
    const found = ways.to(parentPath(path));
    if ("problem" in found) {
      problems.add(`${path}: it is ${of}, and ${found.problem}`, "Give the template another name");
      continue;
    }
    const name = path.slice(path.lastIndexOf("/") + 1);
    const real = found.path === "" ? name : `${found.path}/${name}`;
    const there = entries.get(real);
    if (there !== undefined) {
      const [problem, advice] = obstacle(there);
      problems.add(`${real}: it is ${of}, and ${problem}`, advice);
      continue;
    }
    yield* directoriesTo(real, entries);
    const made = { machine, template, order };
    const modified = timeOf(bytes);
    yield { kind: "file", path: real, modified, size: bytes.length, executable: false, bytes, made };
  }
}

function obstacle(there: Scanned): [problem: string, advice: string] {
  if (!isMade(there)) {
    return [
      "is in the directory as well",
      "Leave a file out of the directory, or give the template another name",
    ];
  }
  const { machine, template } = there.made;
  return [
    `of ${template} for ${machine} as well`,
    "Have the templates' names tell machines apart, by {{ mac_dashes }} or {{ name }}",
  ];
}

function* directoriesTo(path: string, entries: ReadonlyMap<string, Scanned>): Generator<Scanned> {
  const directory = parentPath(path);
  if (directory === "" || entries.has(directory)) return;
  yield* directoriesTo(directory, entries);
  yield { kind: "directory", path: directory, modified: BigInt(EARLIEST_SECONDS) * NANOSECONDS };
}

type Way = { readonly path: string } | { readonly problem: string };

/** Resolves the names of directories through the tree's symlinks. */
class Ways {
  readonly #entries: ReadonlyMap<string, Scanned>;
  readonly #known = new Map<string, Way>([["", { path: "" }]]);

  constructor(entries: ReadonlyMap<string, Scanned>) {
    this.#entries = entries;
  }

  to(directory: string): Way {
    let way = this.#known.get(directory);
    if (way === undefined) {
      const above = this.to(parentPath(directory));
      way =
        "problem" in above ? above : this.#into(above.path, directory.slice(directory.lastIndexOf("/") + 1));
      this.#known.set(directory, way);
    }
    return way;
  }

  #into(above: string, name: string): Way {
    const path = above === "" ? name : `${above}/${name}`;
    const step = this.#stepAt(path);
    if (step === undefined || step === "directory") return { path };
    if (step === "file") return { problem: `${path} is a file` };
    const found = followLink(path, step.target, (at) => this.#stepAt(at), readersBudget());
    if ("problem" in found) return { problem: `at ${path} ${found.problem}` };
    if (found.path !== "" && this.#stepAt(found.path) !== "directory") {
      return { problem: `the symlink ${path} leads to ${found.path}, which is a file` };
    }
    return found;
  }

  #stepAt(path: string): LinkStep | undefined {
    const entry = this.#entries.get(path);
    return entry?.kind === "symlink" ? entry : entry?.kind;
  }
}
